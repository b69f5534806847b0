package lastpass.local;

import java.util.Map;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.PluginsLoader;

/** Finds the modules in the node's home, as Elasticsearch 9 wants it called. */
final class InstalledModules {
  private InstalledModules() {}

  static PluginsLoader load(Environment environment) {
    return PluginsLoader.createPluginsLoader(
        PluginsLoader.loadModulesBundles(environment.modulesDir(), false),
        PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false),
        Map.of(),
        false);
  }
}
