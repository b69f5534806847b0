package lastpass.local;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.Node;

/**
 * Runs one secured Elasticsearch node on loopback until the process is ended.
 *
 * <p>Arguments: the node's home (modules), its working directory (data, logs), and a file that
 * receives the HTTP port. Both ports are chosen by the operating system while binding, so nodes
 * that start at the same time cannot collide. The password of the user {@code elastic} comes from
 * the environment, because arguments can be read by every user of the machine.
 */
public final class LocalNode {
  private static final String PASSWORD_VARIABLE = "LOCAL_ELASTICSEARCH_PASSWORD";

  private LocalNode() {}

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    Path work = Path.of(arguments[1]).toAbsolutePath();
    Path portFile = Path.of(arguments[2]).toAbsolutePath();

    Settings settings = settings(home, work, System.getenv(PASSWORD_VARIABLE));
    Environment environment = new Environment(settings, home.resolve("config"));
    LogConfigurator.setNodeName("local");
    LogConfigurator.configureESLogging();
    LogConfigurator.configureWithoutConfig(settings);

    Node node = new Node(environment, InstalledModules.load(environment));
    node.start();
    announce(node, portFile);
    new CountDownLatch(1).await();
  }

  private static Settings settings(Path home, Path work, String password) throws Exception {
    // The keystore stays in memory: the password is never written to a disk by the node.
    KeyStoreWrapper secrets = KeyStoreWrapper.create();
    secrets.setString("bootstrap.password", password.toCharArray());
    return Settings.builder()
        .put("cluster.name", "local")
        .put("node.name", "local")
        .put("discovery.type", "single-node")
        .put("path.home", home)
        .put("path.data", work.resolve("data"))
        .put("path.logs", work.resolve("logs"))
        .put("http.host", "127.0.0.1")
        .put("http.port", "0")
        .put("transport.host", "127.0.0.1")
        .put("transport.port", "0")
        // A nearly full disk must not turn indices read-only in the middle of a test.
        .put("cluster.routing.allocation.disk.threshold_enabled", false)
        .put("xpack.license.self_generated.type", "basic")
        .put("xpack.security.enabled", true)
        .put("xpack.security.enrollment.enabled", false)
        .put("xpack.security.http.ssl.enabled", false)
        .put("xpack.security.transport.ssl.enabled", false)
        .setSecureSettings(secrets)
        .build();
  }

  /** Writes the port under another name first, so that a reader never sees half of it. */
  private static void announce(Node node, Path portFile) throws Exception {
    HttpServerTransport http = node.injector().getInstance(HttpServerTransport.class);
    int port = http.boundAddress().publishAddress().getPort();
    Path unfinished = portFile.resolveSibling(portFile.getFileName() + ".unfinished");
    Files.writeString(unfinished, Integer.toString(port));
    Files.move(unfinished, portFile, StandardCopyOption.ATOMIC_MOVE);
  }
}
