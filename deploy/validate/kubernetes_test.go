package validate

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are what an overlay makes, decoded strictly.
type manifests struct {
	kinds       []string
	namespaces  []corev1.Namespace
	accounts    []corev1.ServiceAccount
	deployments []appsv1.Deployment
	cronJobs    []batchv1.CronJob
	services    []corev1.Service
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
	configMaps  []corev1.ConfigMap
	secrets     []corev1.Secret
}

// build builds the overlay by kustomize, as kubectl apply --kustomize does. Edits change files of ../kubernetes first.
func build(t *testing.T, overlay string, edits ...func(file, text string) string) manifests {
	t.Helper()
	files := filesys.MakeFsInMemory()
	root := filepath.Join("..", "kubernetes")
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		name, err = filepath.Rel(root, name)
		for _, edit := range edits {
			text = []byte(edit(name, string(text)))
		}
		return files.WriteFile(path.Join("/", filepath.ToSlash(name)), text)
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/"+overlay)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, made)
}

func decode(t *testing.T, made resmap.ResMap) (m manifests) {
	t.Helper()
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		kind := r.GetKind()
		m.kinds = append(m.kinds, kind)
		switch kind {
		case "Namespace":
			m.namespaces = append(m.namespaces, strictly[corev1.Namespace](t, text))
		case "ServiceAccount":
			m.accounts = append(m.accounts, strictly[corev1.ServiceAccount](t, text))
		case "Deployment":
			m.deployments = append(m.deployments, strictly[appsv1.Deployment](t, text))
		case "CronJob":
			m.cronJobs = append(m.cronJobs, strictly[batchv1.CronJob](t, text))
		case "Service":
			m.services = append(m.services, strictly[corev1.Service](t, text))
		case "PodDisruptionBudget":
			m.budgets = append(m.budgets, strictly[policyv1.PodDisruptionBudget](t, text))
		case "NetworkPolicy":
			m.policies = append(m.policies, strictly[networkingv1.NetworkPolicy](t, text))
		case "ConfigMap":
			m.configMaps = append(m.configMaps, strictly[corev1.ConfigMap](t, text))
		case "Secret":
			m.secrets = append(m.secrets, strictly[corev1.Secret](t, text))
		default:
			t.Errorf("nobody knows kind %s", kind)
		}
	}
	return m
}

// strictly decodes a manifest; a field that its type lacks is a mistake.
func strictly[T any](t *testing.T, text []byte) (object T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	return object
}

// withOnce adds the component once to the example.
func withOnce(file, text string) string {
	if file == filepath.Join("example", "kustomization.yaml") {
		return strings.Replace(text, "# components: [../once]", "components: [../once]", 1)
	}
	return text
}

func TestKubernetes_daemon(t *testing.T) {
	t.Parallel()
	m := build(t, "example")
	if len(m.deployments) != 1 || len(m.services) != 1 || len(m.budgets) != 1 || len(m.policies) != 1 || len(m.cronJobs) != 0 {
		t.Fatalf("it makes %v", m.kinds)
	}
	d := m.deployments[0]
	if *d.Spec.Replicas != 2 {
		t.Errorf("%d replicas", *d.Spec.Replicas)
	}
	pod := d.Spec.Template
	for what, selector := range map[string]*v1.LabelSelector{
		"Deployment": d.Spec.Selector, "PodDisruptionBudget": m.budgets[0].Spec.Selector, "NetworkPolicy": &m.policies[0].Spec.PodSelector,
		"Service": {MatchLabels: m.services[0].Spec.Selector}, "spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		selects(t, what, selector, pod.Labels)
	}
	container := pod.Spec.Containers[0]
	for what, probe := range map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
		if probe.HTTPGet.Path != what || probe.HTTPGet.Port.String() != container.Ports[0].Name {
			t.Errorf("a probe asks port %v for %s, want %s", &probe.HTTPGet.Port, probe.HTTPGet.Path, what)
		}
	}
	if got := m.services[0].Spec.Ports[0].TargetPort.String(); got != container.Ports[0].Name {
		t.Errorf("the service leads to port %s", got)
	}
	checkPod(t, m, pod.ObjectMeta, pod.Spec)
}

func TestKubernetes_once(t *testing.T) {
	t.Parallel()
	m := build(t, "example", withOnce)
	if len(m.cronJobs) != 1 || len(m.policies) != 1 || len(m.deployments)+len(m.services)+len(m.budgets) != 0 {
		t.Fatalf("it makes %v", m.kinds)
	}
	job := m.cronJobs[0].Spec
	pod := job.JobTemplate.Spec.Template
	if job.ConcurrencyPolicy != batchv1.ForbidConcurrent || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("passes: %s at a time, restarted %s", job.ConcurrencyPolicy, pod.Spec.RestartPolicy)
	}
	if args := pod.Spec.Containers[0].Args; len(args) == 0 || args[0] != "--once" {
		t.Errorf("it runs partnersync %v", args)
	}
	if ingress := m.policies[0].Spec.Ingress; len(ingress) != 0 {
		t.Errorf("it lets in %v", ingress)
	}
	selects(t, "NetworkPolicy", &m.policies[0].Spec.PodSelector, pod.Labels)
	checkPod(t, m, pod.ObjectMeta, pod.Spec)
}

func selects(t *testing.T, what string, selector *v1.LabelSelector, pod map[string]string) {
	t.Helper()
	s, err := v1.LabelSelectorAsSelector(selector)
	if err != nil || s.Empty() || !s.Matches(labels.Set(pod)) {
		t.Errorf("the %s selects %v (%v), which the pods' labels %v are not", what, s, err, pod)
	}
}

// checkPod applies the restricted pod security standard, as the namespace asks for, and sees that what the pod refers to
// is there.
func checkPod(t *testing.T, m manifests, meta v1.ObjectMeta, spec corev1.PodSpec) {
	t.Helper()
	if got := m.namespaces[0].Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &meta, &spec) {
		if !result.Allowed {
			t.Errorf("the restricted standard forbids: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	container := spec.Containers[0]
	if !*container.SecurityContext.ReadOnlyRootFilesystem || *spec.AutomountServiceAccountToken {
		t.Error("the pod may do more than it needs")
	}
	if spec.ServiceAccountName != m.accounts[0].Name {
		t.Errorf("there is no service account %s", spec.ServiceAccountName)
	}
	config, secret := m.configMaps[0].Name, m.secrets[0].Name
	if got := spec.Volumes[0].ConfigMap.Name; got != config {
		t.Errorf("the pod mounts %s, want %s", got, config)
	}
	if got := spec.Volumes[1].Secret; got.SecretName != secret || *got.DefaultMode != 0o440 {
		t.Errorf("the pod mounts %s with mode %o, want %s", got.SecretName, *got.DefaultMode, secret)
	}
	database := container.Env[0].ValueFrom.SecretKeyRef
	if _, ok := m.secrets[0].Data[database.Key]; !ok || database.Name != secret {
		t.Errorf("%s comes from %s of %s, which is not there", container.Env[0].Name, database.Key, database.Name)
	}
}
