package analysis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/argoproj/argo-rollouts/metricproviders/prometheus"
	"github.com/argoproj/argo-rollouts/metricproviders/skywalking"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/sirupsen/logrus"
)

const (
	successful   = v1alpha1.AnalysisPhaseSuccessful
	failed       = v1alpha1.AnalysisPhaseFailed
	inconclusive = v1alpha1.AnalysisPhaseInconclusive
	erroneous    = v1alpha1.AnalysisPhaseError
)

// An answer over HTTP.
type answer struct {
	status int
	body   string
}

// A measurement of `metric` by the controller's provider, on a server that gives this answer to every query.
func measure(t *testing.T, metric v1alpha1.Metric, answer answer) v1alpha1.Measurement {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(answer.status)
		fmt.Fprint(out, answer.body)
	}))
	defer server.Close()
	log := *logrus.NewEntry(logrus.New())
	if metric.Provider.SkyWalking != nil {
		metric.Provider.SkyWalking.Address = server.URL
		client, err := skywalking.NewSkyWalkingClient(metric, nil)
		if err != nil {
			t.Fatal(err)
		}
		return skywalking.NewSkyWalkingProvider(client, log).Run(nil, metric)
	}
	metric.Provider.Prometheus.Address = server.URL
	api, err := prometheus.NewPrometheusAPI(metric)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := prometheus.NewPrometheusProvider(api, log, metric)
	if err != nil {
		t.Fatal(err)
	}
	return provider.Run(nil, metric)
}

// A vector as Prometheus answers it, of floats or, where a value begins with a brace, of native histograms.
func vector(values ...string) answer {
	var samples []string
	for number, value := range values {
		sample := fmt.Sprintf(`"value":[1700000000,%q]`, value)
		if strings.HasPrefix(value, "{") {
			sample = fmt.Sprintf(`"histogram":[1700000000,%s]`, value)
		}
		samples = append(samples, fmt.Sprintf(`{"metric":{"series":"%d"},%s}`, number, sample))
	}
	return answer{200, `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(samples, ",") + `]}}`}
}

const histogram = `{"count":"10","sum":"100","buckets":[[0,"1","2","10"]]}`

func TestPrometheusAnswers(t *testing.T) {
	// Whatever was asked, no answer of these may count as success or as a fault of the canary.
	nothing := map[string]answer{
		"no series":               vector(),
		"NaN":                     vector("NaN"),
		"two series":              vector("0.99", "0.99"),
		"two series, one of them": vector("NaN", "1"),
		"a native histogram":      vector(histogram),
	}
	broken := map[string]answer{
		"a broken query":        {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`},
		"a timeout":             {503, `{"status":"error","errorType":"timeout","error":"query timed out"}`},
		"another server's page": {200, `<html></html>`},
		"a proxy's error":       {502, `bad gateway`},
		"a string":              {200, `{"status":"success","data":{"resultType":"string","result":[1700000000,"1"]}}`},
		"a scalar":              {200, `{"status":"success","data":{"resultType":"scalar","result":[1700000000,"1"]}}`},
	}
	cases := []struct {
		metric, value string
		phase         v1alpha1.AnalysisPhase
	}{
		{"success-rate", "1", successful},
		{"success-rate", "0.95", successful},
		{"success-rate", "0.9499", failed},
		{"success-rate", "0", failed},
		{"success-rate", "+Inf", inconclusive},
		{"success-rate", "-Inf", failed},
		{"latency", "12.5", successful},
		{"latency", "500", successful},
		{"latency", "500.1", failed},
		{"latency", "0", inconclusive},
		{"latency", "+Inf", failed},
		{"lane-requests", "20", successful},
		{"lane-requests", "19", inconclusive},
		{"lane-requests", "0", inconclusive},
		{"policies", "1", successful},
		{"policies", "2", inconclusive},
		{"policies", "0", inconclusive},
	}
	for _, test := range cases {
		check(t, metric(t, test.metric, nil), test.value, vector(test.value), test.phase)
	}
	for _, name := range []string{"success-rate", "latency", "lane-requests", "policies"} {
		for what, answer := range nothing {
			phase := inconclusive
			// The controller reads a histogram as 0 (the last test), which is no success here. As a share of successes it is
			// a failure, which aborts: the query can't give one, since it divides.
			if what == "a native histogram" && name == "success-rate" {
				phase = failed
			}
			check(t, metric(t, name, nil), what, answer, phase)
		}
		for what, answer := range broken {
			check(t, metric(t, name, nil), what, answer, erroneous)
		}
	}
}

func check(t *testing.T, metric v1alpha1.Metric, what string, answer answer, expected v1alpha1.AnalysisPhase) {
	t.Helper()
	found := measure(t, metric, answer)
	if found.Phase != expected {
		t.Errorf("%s, %s: found %s (%s), expected %s", metric.Name, what, found.Phase, found.Message, expected)
	}
}

// What SkyWalking's `execExpression` has for a value.
func expression(values string) string {
	return `{"type":"SINGLE_VALUE","error":null,"results":` + values + `}`
}

func single(value string) string {
	return expression(`[{"values":[{"value":` + value + `}]}]`)
}

func graph(apdex, calls string) answer {
	return answer{200, `{"data":{"apdex":` + apdex + `,"calls":` + calls + `}}`}
}

func TestSkyWalkingAnswers(t *testing.T) {
	busy, good := single(`"60"`), single(`"9600"`)
	unknown := `{"type":"UNKNOWN","error":"Metric: service_apdex does not exist.","results":[]}`
	cases := []struct {
		what  string
		given answer
		phase v1alpha1.AnalysisPhase
	}{
		{"good", graph(good, busy), successful},
		{"at the bound", graph(single(`"9000"`), single(`"10"`)), successful},
		{"with decimals", graph(single(`"9600.5"`), single(`"60.25"`)), successful},
		{"bad", graph(single(`"8999"`), busy), failed},
		{"all slow", graph(single(`"0"`), busy), failed},
		{"few calls", graph(good, single(`"9"`)), inconclusive},
		{"no calls", graph(single(`"0"`), single(`"0"`)), inconclusive},
		{"null for a value", graph(single("null"), busy), inconclusive},
		{"null for calls", graph(good, single("null")), inconclusive},
		{"no result", graph(expression("[]"), expression("[]")), inconclusive},
		{"a result without values", graph(expression(`[{"values":[]}]`), busy), inconclusive},
		{"several values", graph(expression(`[{"values":[{"value":"9600"},{"value":"9700"}]}]`), busy), inconclusive},
		{"several results", graph(expression(`[{"values":[{"value":"9600"}]},{"values":[{"value":"1"}]}]`), busy), inconclusive},
		{"null for results", graph(expression("null"), busy), inconclusive},
		{"null for values", graph(expression(`[{"values":null}]`), busy), inconclusive},
		{"null for all", graph("null", "null"), inconclusive},
		{"an unknown metric", graph(unknown, busy), inconclusive},
		{"nothing", answer{200, `{"data":{}}`}, inconclusive},
		{"null for data", answer{200, `{"data":null}`}, erroneous},
		{"no number", graph(single(`"many"`), busy), erroneous},
		{"an error of the query", answer{200, `{"data":null,"errors":[{"message":"Validation error"}]}`}, erroneous},
		{"an error beside data", answer{200, `{"data":{"apdex":` + good + `,"calls":` + busy + `},"errors":[{"message":"timeout"}]}`}, erroneous},
		{"a proxy's error", answer{502, `bad gateway`}, erroneous},
		{"a server's error", answer{500, `{}`}, erroneous},
	}
	for _, test := range cases {
		check(t, metric(t, "apdex", nil), test.what, test.given, test.phase)
	}
}

// What the controller (v1.10.1) makes of conditions that are often seen. docs/analysis.md lists them; a version that does
// otherwise makes that page untrue.
func TestTrapsAreAsTheDocsSay(t *testing.T) {
	prometheusMetric := func(success, failure string) v1alpha1.Metric {
		return v1alpha1.Metric{Name: success, SuccessCondition: success, FailureCondition: failure,
			Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "up"}}}
	}
	skyWalking := v1alpha1.Metric{Name: "all", SuccessCondition: "all(result.service_apdex.values.values, {asFloat(.value) >= 9900})",
		Provider: v1alpha1.MetricProvider{SkyWalking: &v1alpha1.SkyWalkingMetric{Query: "query", Interval: "3m"}}}
	values := func(list string) answer {
		return answer{200, `{"data":{"service_apdex":{"values":{"values":` + list + `}}}}`}
	}
	check(t, skyWalking, "without data", values("[]"), successful)
	check(t, skyWalking, "zeros for minutes without data", values(`[{"value":9950},{"value":0}]`), failed)
	check(t, prometheusMetric("result[0] < 500", ""), "a native histogram", vector(histogram), successful)
	check(t, prometheusMetric("result[0] >= 0.95", ""), "no series", vector(), erroneous)
	check(t, prometheusMetric("all(result, # < 500)", ""), "no series", vector(), successful)
	check(t, prometheusMetric("", "any(result, # > 500)"), "no series", vector(), successful)
	check(t, prometheusMetric("result[0] >= 0.95", ""), "NaN", vector("NaN"), failed)
	check(t, prometheusMetric("", "result[0] < 0.95"), "NaN", vector("NaN"), successful)
	check(t, prometheusMetric("result[0] >= 0.95", ""), "two versions in one answer", vector("1", "0"), successful)
	check(t, prometheusMetric("default(result, 1)[0] >= 0.95", ""), "no series, with default()", vector(), erroneous)
}

// The queries ask for one version of one Rollout.
func TestQueriesAskForTheVersion(t *testing.T) {
	for name, expected := range map[string]string{
		"success-rate":  `istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload="reviews",rollouts_pod_template_hash="5d8f",response_code=~"5.."}[2m]`,
		"latency":       `istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="shop",destination_workload="reviews",rollouts_pod_template_hash="5d8f"}[2m]`,
		"lane-requests": `serin_requests_total{rollout="shop/reviews",lane=~"canary|mirror"}[2m]`,
		"policies":      `serin_policy_generation{rollout="shop/reviews"}`,
	} {
		query := metric(t, name, nil).Provider.Prometheus.Query
		if !strings.Contains(query, expected) {
			t.Errorf("%s: found %s\nexpected in it %s", name, query, expected)
		}
	}
	var request struct{ Query string }
	apdex := metric(t, "apdex", nil).Provider.SkyWalking
	text, err := json.Marshal(apdex)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &request); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(request.Query, `serviceName: "reviews-v2"`) {
		t.Errorf("apdex: found %s", request.Query)
	}
}
