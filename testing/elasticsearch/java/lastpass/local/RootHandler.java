package lastpass.local;

import java.io.IOException;
import java.util.List;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.state.ClusterStateResponse;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.action.RestResponseListener;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Replaces the module rest-root, without which {@code GET /} is answered 405. Clients ask it for
 * the version.
 *
 * <p>It reads the cluster's state on behalf of the caller, so that a caller without the cluster
 * right {@code monitor} gets 403 as from the real one.
 */
final class RootHandler extends BaseRestHandler {
  private static final TimeValue PATIENCE = TimeValue.timeValueSeconds(30);

  @Override
  public String getName() {
    return "local_root";
  }

  @Override
  public List<Route> routes() {
    return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
    return channel ->
        client
            .admin()
            .cluster()
            .prepareState(PATIENCE)
            .clear()
            .setMetadata(true)
            .execute(
                new RestResponseListener<>(channel) {
                  @Override
                  public RestResponse buildResponse(ClusterStateResponse answer)
                      throws IOException {
                    return new RestResponse(
                        RestStatus.OK, body(answer.getState(), channel.newBuilder()));
                  }
                });
  }

  private static XContentBuilder body(ClusterState state, XContentBuilder json)
      throws IOException {
    Build build = Build.current();
    json.startObject();
    json.field("name", "local");
    json.field("cluster_name", "local");
    json.field("cluster_uuid", state.metadata().clusterUUID());
    json.startObject("version");
    json.field("number", build.version());
    json.field("build_flavor", "default");
    json.field("build_type", "tar");
    json.field("build_hash", build.hash());
    json.field("build_date", build.date());
    json.field("build_snapshot", false);
    json.field("lucene_version", Version.LATEST.toString());
    json.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
    json.field("minimum_index_compatibility_version", build.minIndexCompatVersion());
    json.endObject();
    json.field("tagline", "You Know, for Search");
    return json.endObject();
  }
}
