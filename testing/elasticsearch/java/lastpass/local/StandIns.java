package lastpass.local;

import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.index.analysis.PreConfiguredTokenFilter;
import org.elasticsearch.index.analysis.PreConfiguredTokenizer;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.index.mapper.KeywordFieldMapper;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.TextFieldMapper;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Stand-ins for the parts of an ordinary Elasticsearch that are not published as libraries and
 * without which the node could not be used. What differs between versions is in the subclass {@code
 * NodeModule}.
 */
abstract class StandIns extends Plugin implements ActionPlugin, AnalysisPlugin, MapperPlugin {

  /**
   * Replaces two field types that templates of a real cluster contain.
   *
   * <p>{@code match_only_text} (module mapper-extras) becomes {@code text}: it is searched in the
   * same way and only takes more room. {@code constant_keyword} (module mapper-constant-keyword)
   * becomes {@code keyword}: its {@code value} is dropped, so a second value is not refused as it
   * would be by a real cluster. A template shows the asked type, a mapping the stand-in's.
   */
  @Override
  public Map<String, Mapper.TypeParser> getMappers() {
    return Map.of(
        "match_only_text",
        TextFieldMapper.PARSER,
        "constant_keyword",
        (name, node, context) -> {
          node.remove("value");
          return KeywordFieldMapper.PARSER.parse(name, node, context);
        });
  }

  /**
   * Replaces the filters {@code pattern_capture} and {@code unique} of analysis-common. The index
   * that holds users, roles and API keys analyses mail addresses with them; without them it cannot
   * be created and every call about keys fails.
   */
  @Override
  public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
    return Map.of(
        "pattern_capture",
        new PatternCaptureProvider(),
        "unique",
        (index, environment, name, settings) -> filter(name, UniqueTokenFilter::new));
  }

  /** Replaces the tokenizer {@code uax_url_email} of analysis-common, for the same index. */
  @Override
  public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
    return Map.of(
        "uax_url_email",
        (index, environment, name, settings) ->
            TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
  }

  /** The same filter for analyzers that name it without configuring it. */
  @Override
  public List<PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
    return List.of(PreConfiguredTokenFilter.singleton("unique", false, UniqueTokenFilter::new));
  }

  /** The same tokenizer for analyzers that name it without configuring it. */
  @Override
  public List<PreConfiguredTokenizer> getPreConfiguredTokenizers() {
    return List.of(
        PreConfiguredTokenizer.singleton("uax_url_email", UAX29URLEmailTokenizer::new));
  }

  private static TokenFilterFactory filter(String name, UnaryOperator<TokenStream> wrap) {
    return new TokenFilterFactory() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public TokenStream create(TokenStream tokens) {
        return wrap.apply(tokens);
      }
    };
  }

  private static final class PatternCaptureProvider
      implements AnalysisProvider<TokenFilterFactory> {
    @Override
    public TokenFilterFactory get(
        IndexSettings index, Environment environment, String name, Settings settings) {
      Pattern[] patterns =
          settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
      boolean keepOriginal = settings.getAsBoolean("preserve_original", true);
      return filter(
          name, tokens -> new PatternCaptureGroupTokenFilter(tokens, keepOriginal, patterns));
    }

    /** Without patterns the filter has no meaning, so it exists only where an index configures it. */
    @Override
    public boolean requiresAnalysisSettings() {
      return true;
    }
  }
}
