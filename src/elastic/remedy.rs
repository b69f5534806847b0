//! Remedies, which end the texts of errors.

use crate::http::TlsFault;

/// Returns the remedy for a connection that is not trusted.
pub(super) fn tls_remedy(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority => {
            "For a self-managed cluster with its own certificate authority, set ELASTICSEARCH_CA (the stack's \
             parameter ElasticsearchCa) to the PEM of that authority's certificate, which Elasticsearch stores as \
             http_ca.crt; if it is already set, it contains another authority's certificate"
        }
        TlsFault::OtherName { .. } => {
            "Set ELASTICSEARCH_URL to a host name that the certificate contains, or give the cluster a certificate \
             for this one"
        }
        TlsFault::Expired => "Give the cluster a new certificate",
        TlsFault::NotYetValid => {
            "Give the cluster a certificate that is valid now, and check the clock of the machine that issued it"
        }
        TlsFault::Certificate => {
            "Give the cluster a certificate for its host name, signed by the authority in ELASTICSEARCH_CA or a public \
             one; the certificate of the authority itself is not accepted"
        }
        TlsFault::Version => "Enable TLS 1.2 or 1.3 on the cluster, or on the proxy in front of it",
        TlsFault::NotTls => {
            "Check the port in ELASTICSEARCH_URL, and that TLS is enabled for HTTP (xpack.security.http.ssl.enabled)"
        }
    }
}

/// Remedies for refusals that depend only on the `error.type`.
static REMEDIES: &[(&str, &str)] = &[
    (
        CLUSTER_BLOCK,
        "the index or the whole cluster is blocked: check index.blocks in GET <data stream>/_settings and cluster.blocks in \
         GET _cluster/settings, and remove the block. If Elasticsearch blocked writes itself, because a disk is nearly full \
         (flood-stage watermark), GET _cat/allocation shows it: add disk space",
    ),
    (
        SHARD_LIMIT,
        "the cluster has as many open shards as cluster.max_shards_per_node allows, so it cannot create an index: \
         delete old indices, add a data node, or raise that setting (PUT _cluster/settings)",
    ),
    ("index_closed_exception", "a backing index of the data stream is closed: open it (POST <index>/_open)"),
];

/// The `error.type` of a blocked index (403), of a full disk (429) and of a cluster without a master (503).
pub(super) const CLUSTER_BLOCK: &str = "cluster_block_exception";

/// The `error.type` of an index that cannot be created because of the limit of shards (400).
pub(super) const SHARD_LIMIT: &str = "validation_exception";

/// The remedy for a licence that has expired or lacks a feature (403).
pub(super) const LICENCE_REMEDY: &str = "the licence of the cluster has expired, or does not cover the named feature: \
                                         see Kibana under Stack Management > License management";

/// Returns the remedy for a refusal with `error_type`, if it depends on nothing else.
pub(super) fn known_remedy(error_type: &str) -> Option<&'static str> {
    REMEDIES.iter().find(|(known, _)| *known == error_type).map(|(_, remedy)| *remedy)
}
