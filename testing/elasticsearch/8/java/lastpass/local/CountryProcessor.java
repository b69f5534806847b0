package lastpass.local;

import java.util.Map;
import org.elasticsearch.ingest.AbstractProcessor;
import org.elasticsearch.ingest.ConfigurationUtils;
import org.elasticsearch.ingest.IngestDocument;
import org.elasticsearch.ingest.Processor;

/**
 * Adds {@code source.geo} for the tests of detection rules, as the processor {@code geoip} of a real
 * cluster does. That one and its database are not published.
 *
 * <p>It has a name of its own, so that {@code setup} sees a cluster without {@code geoip}, and acts
 * only in a pipeline that names it. {@code countries} maps the beginning of an address to an ISO code.
 */
final class CountryProcessor extends AbstractProcessor {
  static final String TYPE = "local_country";

  private static final String ADDRESS = "source.ip";

  private final Map<String, Object> countries;

  private CountryProcessor(String tag, String description, Map<String, Object> countries) {
    super(tag, description);
    this.countries = countries;
  }

  @Override
  public IngestDocument execute(IngestDocument document) {
    String address = document.getFieldValue(ADDRESS, String.class, true);
    if (address == null) {
      return document;
    }
    for (Map.Entry<String, Object> country : countries.entrySet()) {
      if (address.startsWith(country.getKey())) {
        document.setFieldValue("source.geo.country_iso_code", country.getValue());
        document.setFieldValue("source.geo.country_name", "Country " + country.getValue());
      }
    }
    return document;
  }

  @Override
  public String getType() {
    return TYPE;
  }

  static Processor create(
      Map<String, Processor.Factory> others, String tag, String description, Map<String, Object> config) {
    return new CountryProcessor(
        tag, description, ConfigurationUtils.readMap(TYPE, tag, config, "countries"));
  }
}
