package deploy_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

const chartDir = "helm/lintel"

// render returns the objects of the chart by kind and name.
func render(t *testing.T, values string) map[string]map[string]any {
	t.Helper()
	objects, err := renderErr(values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func renderErr(values string) (map[string]map[string]any, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	own, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "cache", Namespace: "shop", IsInstall: true}
	// This checks the values against values.schema.json.
	all, err := chartutil.ToRenderValues(chart, own, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	objects := make(map[string]map[string]any)
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		for d := yaml.NewDecoder(strings.NewReader(text)); ; {
			var object map[string]any
			if d.Decode(&object) != nil {
				break
			}
			if object == nil {
				continue
			}
			metadata := object["metadata"].(map[string]any)
			objects[object["kind"].(string)+"/"+metadata["name"].(string)] = object
		}
	}
	return objects, nil
}

func TestChartLint(t *testing.T) {
	for _, m := range lint.All(chartDir, nil, "shop", true).Messages {
		if m.Severity > support.InfoSev {
			t.Errorf("%v", m)
		}
	}
}

// container returns the container of a workload, as JSON.
func container(t *testing.T, workload map[string]any) string {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if workload == nil {
		t.Fatal("no workload")
	}
	template := workload["spec"].(map[string]any)["template"].(map[string]any)
	if err := e.Encode(template["spec"].(map[string]any)["containers"].([]any)[0]); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestChart(t *testing.T) {
	const name = "cache-lintel"
	objects := render(t, "")
	for _, want := range []string{"StatefulSet/" + name, "Service/" + name, "Service/" + name + "-metrics", "ServiceAccount/" + name, "PodDisruptionBudget/" + name} {
		if objects[want] == nil {
			t.Errorf("no %s", want)
		}
		delete(objects, want)
	}
	for extra := range objects {
		t.Errorf("%s without values", extra)
	}

	tests := map[string]struct {
		values string
		object string
		want   []string // of the container
	}{
		"defaults": {"", "StatefulSet/" + name, []string{
			`"args":["-p","11211","-m","64","-c","1024","-t","2","-I","1m","--http=:9150"]`, `"image":"lintel:devel"`,
			`"memory":"176Mi"`, `"readOnlyRootFilesystem":true`, `"path":"/healthz"`, `"runAsUser":11211`,
		}},
		"memory and options": {
			"memcached: {maxItemMemory: 1024, maxItemSize: 8m, extendedOptions: 'track_sizes', extraArgs: [-v]}\nmetrics: {enabled: false}",
			"StatefulSet/" + name,
			[]string{`"-m","1024"`, `"-I","8m"`, `"-o","track_sizes","-v"]`, `"memory":"1328Mi"`, `"tcpSocket":{"port":"memcached"}`},
		},
		"own command line": {"args: [-m, '64']\narchitecture: standalone", "Deployment/" + name, []string{`"args":["-m","64"]`}},
		"image": {"image: {registry: registry.example, repository: a/lintel, digest: 'sha256:00'}", "StatefulSet/" + name, []string{
			`"image":"registry.example/a/lintel@sha256:00"`,
		}},
		"login": {"auth: {enabled: true, username: u, password: p}", "StatefulSet/" + name, []string{
			`"-S"`, `"value":"/etc/lintel/memcached-users"`, `"mountPath":"/etc/lintel"`,
		}},
		"warm restart": {"warmRestart: {enabled: true}", "StatefulSet/" + name, []string{`"-e","/cache/items"`, `"mountPath":"/cache"`}},
	}
	for what, tt := range tests {
		got := container(t, render(t, tt.values)[tt.object])
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the container lacks %s: %s", what, want, got)
			}
		}
	}

	objects = render(t, `
auth: {enabled: true, username: u, password: p}
autoscaling: {enabled: true}
metrics: {serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}}
commonAnnotations: {team: shop}
service: {annotations: {dns: cache.example}}
`)
	secret := objects["Secret/"+name]["stringData"].(map[string]any)["memcached-users"]
	if secret != "u:p\n" {
		t.Errorf("the secret has %q", secret)
	}
	if objects["HorizontalPodAutoscaler/"+name] == nil || objects["ServiceMonitor/"+name] == nil {
		t.Error("no autoscaler or no monitor")
	}
	annotations := objects["Service/"+name]["metadata"].(map[string]any)["annotations"].(map[string]any)
	if annotations["team"] != "shop" || annotations["dns"] != "cache.example" {
		t.Errorf("the service has annotations %v", annotations)
	}
}

// TestChartObjects decodes every object with all options on into the type that
// Kubernetes has for it, which refuses unknown fields.
func TestChartObjects(t *testing.T) {
	for _, architecture := range []string{"standalone", "high-availability"} {
		objects := render(t, "architecture: "+architecture+`
commonLabels: {a: b}
image: {pullSecrets: [secret]}
auth: {enabled: true, username: u, password: p}
warmRestart: {enabled: true}
extraEnvVars: [{name: GOMAXPROCS, value: "2"}]
autoscaling: {enabled: true, targetMemory: 80}
podAntiAffinityPreset: hard
nodeSelector: {disk: fast}
tolerations: [{key: k, operator: Exists}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
priorityClassName: high
`)
		for name, object := range objects {
			text, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(name, "/")
			into := map[string]any{
				"StatefulSet": &appsv1.StatefulSet{}, "Deployment": &appsv1.Deployment{}, "Service": &corev1.Service{},
				"ServiceAccount": &corev1.ServiceAccount{}, "Secret": &corev1.Secret{},
				"PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
			}[kind]
			if into == nil {
				t.Errorf("%s: unknown kind", name)
				continue
			}
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(into); err != nil {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
		}
	}
}

func TestChartRefuses(t *testing.T) {
	for _, values := range []string{
		"replicas: 3",                     // no such name
		"memcached: {maxItemMemory: 64m}", // megabytes, without a unit
		"architecture: cluster",
		"containerPorts: {memcached: 0}",
		"auth: {enabled: true}", // no user
	} {
		if _, err := renderErr(values); err == nil {
			t.Errorf("%s: accepted", values)
		}
	}
}
