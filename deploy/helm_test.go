package deploy_test

import (
	"bytes"
	"encoding/json"
	"slices"
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

// TestChartAnnotations checks the annotations for Artifact Hub that are lists.
func TestChartAnnotations(t *testing.T) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]string{"images": {"name", "image"}, "links": {"name", "url"}, "changes": {"kind", "description"}} {
		var list []map[string]string
		if err := yaml.Unmarshal([]byte(chart.Metadata.Annotations["artifacthub.io/"+name]), &list); err != nil || len(list) == 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		for _, entry := range list {
			for _, key := range keys {
				if entry[key] == "" {
					t.Errorf("%s: an entry has no %s: %v", name, key, entry)
				}
			}
		}
	}
	for _, name := range []string{"license", "category", "containsSecurityUpdates"} {
		if chart.Metadata.Annotations["artifacthub.io/"+name] == "" {
			t.Errorf("no annotation %s", name)
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
		"global registry": {"global: {imageRegistry: mirror.example}\nimage: {registry: registry.example}", "StatefulSet/" + name, []string{
			`"image":"mirror.example/lintel:devel"`,
		}},
		"variables": {"extraEnvVarsCM: c\nextraEnvVarsSecret: s", "StatefulSet/" + name, []string{
			`"envFrom":[{"configMapRef":{"name":"c"}},{"secretRef":{"name":"s"}}]`,
		}},
		"probes": {
			"startupProbe: {enabled: true}\ncustomLivenessProbe: {exec: {command: [a]}}\ncustomReadinessProbe: {exec: {command: [b]}}\nlifecycleHooks: {preStop: {sleep: {seconds: 5}}}",
			"StatefulSet/" + name,
			[]string{
				`"startupProbe":{"failureThreshold":60,"initialDelaySeconds":0,"periodSeconds":5,"successThreshold":1,"tcpSocket":{"port":"memcached"},"timeoutSeconds":3}`,
				`"livenessProbe":{"exec":{"command":["a"]}}`, `"readinessProbe":{"exec":{"command":["b"]}}`,
				`"lifecycle":{"preStop":{"sleep":{"seconds":5}}}`,
			},
		},
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
global: {imagePullSecrets: [of-all]}
extraEnvVarsCM: settings
extraEnvVarsSecret: secrets
startupProbe: {enabled: true}
lifecycleHooks: {preStop: {sleep: {seconds: 5}}}
podAffinityPreset: soft
nodeAffinityPreset: {type: hard, key: disk, values: [fast]}
service: {type: NodePort, nodePorts: {memcached: 30211}, sessionAffinity: ClientIP, extraPorts: [{name: other, port: 1}]}
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

// TestChartAffinity checks what the presets become, and that affinity replaces
// them.
func TestChartAffinity(t *testing.T) {
	const (
		host  = `"topologyKey":"kubernetes.io/hostname"`
		label = `"labelSelector":{"matchLabels":{"app.kubernetes.io/instance":"cache","app.kubernetes.io/name":"lintel"}}`
		apart = `"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"podAffinityTerm":{` + label + `,` + host + `},"weight":1}]}`
		fast  = `{"matchExpressions":[{"key":"disk","operator":"In","values":["fast"]}]}`
	)
	for values, want := range map[string]string{
		"":                          `{` + apart + `}`,
		"podAntiAffinityPreset: ''": `null`,
		"podAntiAffinityPreset: hard\npodAffinityPreset: hard": `{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{` + label + `,` + host + `}]},` +
			`"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{` + label + `,` + host + `}]}}`,
		"nodeAffinityPreset: {type: hard, key: disk, values: [fast]}": `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` + fast + `]}},` + apart + `}`,
		"nodeAffinityPreset: {type: soft, key: disk, values: [fast]}": `{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"preference":` + fast + `,"weight":1}]},` + apart + `}`,
		"affinity: {nodeAffinity: {}}":                                `{"nodeAffinity":{}}`,
	} {
		template := render(t, values)["StatefulSet/cache-lintel"]["spec"].(map[string]any)["template"].(map[string]any)
		got, err := json.Marshal(template["spec"].(map[string]any)["affinity"])
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s: affinity is %s, expected %s", values, got, want)
		}
	}
}

// TestChartSchema checks that the schema has every value of values.yaml and no
// other, and that it refuses unknown names everywhere but in global, which is
// shared with other charts, and in what Kubernetes gets as it is.
func TestChartSchema(t *testing.T) {
	type schema struct {
		Properties           map[string]*schema
		AdditionalProperties *bool
	}
	var top schema
	if err := json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &top); err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, chartDir+"/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	open := []string{
		".global", ".containerSecurityContext", ".podSecurityContext", ".updateStrategy",
		".livenessProbe", ".readinessProbe", ".startupProbe",
	}
	var compare func(path string, s *schema, values map[string]any)
	compare = func(path string, s *schema, values map[string]any) {
		if !slices.Contains(open, path) && (s.AdditionalProperties == nil || *s.AdditionalProperties) {
			t.Errorf("%s: the schema accepts unknown names", path)
		}
		for name := range s.Properties {
			if _, ok := values[name]; !ok {
				t.Errorf("%s.%s is in values.schema.json only", path, name)
			}
		}
		for name, v := range values {
			sub := s.Properties[name]
			if sub == nil {
				t.Errorf("%s.%s is in values.yaml only", path, name)
				continue
			}
			if v, ok := v.(map[string]any); ok && len(v) > 0 {
				compare(path+"."+name, sub, v)
			}
		}
	}
	compare("", &top, values)
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
