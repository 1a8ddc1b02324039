// Package analysis judges the analysis templates (manifests/analysis) with the controller's own providers: what each makes of an
// answer with data, without, and of every answer that could be taken for success though it says nothing.
package analysis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	analysisutil "github.com/argoproj/argo-rollouts/utils/analysis"
	"sigs.k8s.io/yaml"
)

const manifests = "../../../manifests/analysis"

// What a Rollout has to say itself.
var required = map[string]string{"namespace": "shop", "rollout": "reviews", "version": "5d8f", "service": "reviews-v2"}

// Every template, by its name.
func templates(t *testing.T) map[string]*v1alpha1.ClusterAnalysisTemplate {
	t.Helper()
	files, err := filepath.Glob(manifests + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*v1alpha1.ClusterAnalysisTemplate{}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var template v1alpha1.ClusterAnalysisTemplate
		if err := yaml.UnmarshalStrict(text, &template); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[template.Name] = &template
	}
	return all
}

// The metric `name` of the templates together, as the controller makes it for a Rollout that gives these arguments.
func metric(t *testing.T, name string, given map[string]string) v1alpha1.Metric {
	t.Helper()
	run := run(t, given)
	for _, metric := range run.Spec.Metrics {
		if metric.Name == name {
			resolved, err := analysisutil.ResolveMetricArgs(metric, run.Spec.Args)
			if err != nil {
				t.Fatal(err)
			}
			return *resolved
		}
	}
	t.Fatalf("no template has a metric %q", name)
	return v1alpha1.Metric{}
}

// A run of all templates, which is possible only where they agree on the arguments that they share.
func run(t *testing.T, given map[string]string) *v1alpha1.AnalysisRun {
	t.Helper()
	var list []*v1alpha1.ClusterAnalysisTemplate
	for _, template := range templates(t) {
		list = append(list, template)
	}
	var arguments []v1alpha1.Argument
	for _, values := range []map[string]string{required, given} {
		for name, value := range values {
			arguments = append(arguments, v1alpha1.Argument{Name: name, Value: &value})
		}
	}
	run, err := analysisutil.NewAnalysisRunFromTemplates(nil, list, arguments, nil, nil, nil, nil, "run", "", "shop")
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestTemplatesAreWhatTheControllerTakes(t *testing.T) {
	if len(templates(t)) != 4 {
		t.Fatalf("%s: found %d templates, expected 4", manifests, len(templates(t)))
	}
	for _, given := range []map[string]string{
		nil,
		{"count": "1"},
		{"count": "5", "failure-limit": "1", "inconclusive-limit": "2"},
	} {
		run := run(t, given)
		for _, metric := range run.Spec.Metrics {
			resolved, err := analysisutil.ResolveMetricArgs(metric, run.Spec.Args)
			if err != nil {
				t.Fatal(err)
			}
			if err := analysisutil.ValidateMetric(*resolved); err != nil {
				t.Errorf("%s with %v: %v", metric.Name, given, err)
			}
			text, err := yaml.Marshal(resolved)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "{{") {
				t.Errorf("%s has arguments that no value was put in for:\n%s", metric.Name, text)
			}
		}
	}
}

// Each template alone has all the arguments that it uses, and none that it doesn't.
func TestEveryArgumentIsUsed(t *testing.T) {
	for name, template := range templates(t) {
		text, err := yaml.Marshal(template.Spec.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, part := range strings.Split(string(text), "{{args.")[1:] {
			argument, _, _ := strings.Cut(part, "}}")
			used[argument] = true
		}
		for _, argument := range template.Spec.Args {
			if !used[argument.Name] {
				t.Errorf("%s: argument %q is not used", name, argument.Name)
			}
			delete(used, argument.Name)
		}
		if len(used) > 0 {
			t.Errorf("%s: arguments %v are not declared", name, used)
		}
	}
}

// The controller refuses a Rollout with a step whose template runs without end by its own defaults, whatever count the step gives
// (v1.10.1 `pkg/apis/rollouts/validation`, `ValidateAnalysisTemplateWithType`; the package needs much of Kubernetes, so this
// does what it does).
func TestStepsMayNameThem(t *testing.T) {
	for name, template := range templates(t) {
		arguments := template.DeepCopy().Spec.Args
		for number := range arguments {
			if arguments[number].Value == nil {
				value := "dummy-value"
				arguments[number].Value = &value
			}
		}
		for _, metric := range template.Spec.Metrics {
			resolved, err := analysisutil.ResolveMetricArgs(metric, arguments)
			if err != nil {
				t.Fatal(err)
			}
			if resolved.EffectiveCount() == nil {
				t.Errorf("%s: metric %s has no end by its defaults", name, metric.Name)
			}
		}
	}
}
