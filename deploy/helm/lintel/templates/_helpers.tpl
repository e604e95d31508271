{{- define "lintel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lintel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "lintel.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lintel.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lintel.selector" -}}
app.kubernetes.io/name: {{ include "lintel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Metadata of an object: a dict of root, and optionally name, suffix, namespace, labels and annotations. */ -}}
{{- define "lintel.metadata" -}}
{{- $root := .root -}}
name: {{ default (printf "%s%s" (include "lintel.fullname" $root) (get . "suffix")) (get . "name") }}
namespace: {{ default $root.Release.Namespace (get . "namespace") }}
labels:
  {{- include "lintel.selector" $root | nindent 2 }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
  {{- with merge (dict) (default dict (get . "labels")) $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default dict (get . "annotations")) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "lintel.image" -}}
{{- $name := .Values.image.repository -}}
{{- with default .Values.image.registry .Values.global.imageRegistry }}{{- $name = printf "%s/%s" . $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "lintel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lintel.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lintel.secretName" -}}
{{- default (include "lintel.fullname" .) .Values.auth.existingPasswordSecret -}}
{{- end -}}

{{- /* Memory of a container in MiB: 1.2 x -m + 100. */ -}}
{{- define "lintel.memory" -}}
{{- add (div (mul (int .Values.memcached.maxItemMemory) 12) 10) 100 -}}
{{- end -}}

{{- /* The affinities of the presets. */ -}}
{{- define "lintel.affinity" -}}
{{- with .Values.nodeAffinityPreset }}
{{- $nodes := dict "matchExpressions" (list (dict "key" .key "operator" "In" "values" .values)) }}
{{- if eq .type "hard" }}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - {{- toYaml $nodes | nindent 8 }}
{{- else if eq .type "soft" }}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 1
      preference:
        {{- toYaml $nodes | nindent 8 }}
{{- end }}
{{- end }}
{{- include "lintel.podAffinity" (dict "root" . "kind" "podAffinity" "preset" .Values.podAffinityPreset) }}
{{- include "lintel.podAffinity" (dict "root" . "kind" "podAntiAffinity" "preset" .Values.podAntiAffinityPreset) }}
{{- end -}}

{{- /* podAffinity or podAntiAffinity, the kind, for a preset: a dict of root, kind and preset. */ -}}
{{- define "lintel.podAffinity" }}
{{- if eq .preset "hard" }}
{{ .kind }}:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- include "lintel.selector" .root | nindent 10 }}
{{- else if eq .preset "soft" }}
{{ .kind }}:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 1
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "lintel.selector" .root | nindent 12 }}
{{- end }}
{{- end -}}

{{- define "lintel.pod" -}}
metadata:
  labels:
    {{- include "lintel.selector" . | nindent 4 }}
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "lintel.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
  {{- with concat .Values.global.imagePullSecrets .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if .Values.podSecurityContext.enabled }}
  securityContext:
    {{- omit .Values.podSecurityContext "enabled" | toYaml | nindent 4 }}
    seccompProfile:
      type: RuntimeDefault
  {{- end }}
  {{- with default (include "lintel.affinity" . | fromYaml) .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  containers:
    - name: lintel
      image: {{ include "lintel.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      args:
        {{- if .Values.args }}
        {{- toYaml .Values.args | nindent 8 }}
        {{- else }}
        - -p
        - {{ .Values.containerPorts.memcached | quote }}
        - -m
        - {{ .Values.memcached.maxItemMemory | quote }}
        - -c
        - {{ .Values.memcached.maxConnections | quote }}
        - -t
        - {{ .Values.memcached.threads | quote }}
        - -I
        - {{ .Values.memcached.maxItemSize | quote }}
        {{- with .Values.memcached.extendedOptions }}
        - -o
        - {{ . | quote }}
        {{- end }}
        {{- if .Values.auth.enabled }}
        - -S
        {{- end }}
        {{- if .Values.warmRestart.enabled }}
        - -e
        - /cache/items
        {{- end }}
        {{- if .Values.metrics.enabled }}
        - {{ printf "--http=:%v" .Values.metrics.containerPorts.metrics }}
        {{- end }}
        {{- with .Values.memcached.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- end }}
      {{- if or .Values.auth.enabled .Values.extraEnvVars }}
      env:
        {{- if .Values.auth.enabled }}
        - name: MEMCACHED_SASL_PWDB
          value: /etc/lintel/memcached-users
        {{- end }}
        {{- with .Values.extraEnvVars }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - name: memcached
          containerPort: {{ .Values.containerPorts.memcached }}
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.containerPorts.metrics }}
        {{- end }}
      {{- if or .Values.extraEnvVarsCM .Values.extraEnvVarsSecret }}
      envFrom:
        {{- with .Values.extraEnvVarsCM }}
        - configMapRef:
            name: {{ . }}
        {{- end }}
        {{- with .Values.extraEnvVarsSecret }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with .Values.lifecycleHooks }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.customStartupProbe }}
      startupProbe:
        {{- toYaml . | nindent 8 }}
      {{- else }}
      {{- if .Values.startupProbe.enabled }}
      startupProbe:
        {{- omit .Values.startupProbe "enabled" | toYaml | nindent 8 }}
        tcpSocket:
          port: memcached
      {{- end }}
      {{- end }}
      {{- with .Values.customLivenessProbe }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- else }}
      {{- if .Values.livenessProbe.enabled }}
      livenessProbe:
        {{- omit .Values.livenessProbe "enabled" | toYaml | nindent 8 }}
        tcpSocket:
          port: memcached
      {{- end }}
      {{- end }}
      {{- with .Values.customReadinessProbe }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- else }}
      {{- if .Values.readinessProbe.enabled }}
      readinessProbe:
        {{- omit .Values.readinessProbe "enabled" | toYaml | nindent 8 }}
        {{- if .Values.metrics.enabled }}
        httpGet:
          path: /healthz
          port: metrics
        {{- else }}
        tcpSocket:
          port: memcached
        {{- end }}
      {{- end }}
      {{- end }}
      resources:
        {{- if .Values.resources }}
        {{- toYaml .Values.resources | nindent 8 }}
        {{- else }}
        requests:
          cpu: 250m
          memory: {{ include "lintel.memory" . }}Mi
        limits:
          memory: {{ include "lintel.memory" . }}Mi
        {{- end }}
      {{- if .Values.containerSecurityContext.enabled }}
      securityContext:
        {{- omit .Values.containerSecurityContext "enabled" | toYaml | nindent 8 }}
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      {{- end }}
      {{- if or .Values.auth.enabled .Values.warmRestart.enabled .Values.extraVolumeMounts }}
      volumeMounts:
        {{- if .Values.auth.enabled }}
        - name: users
          mountPath: /etc/lintel
          readOnly: true
        {{- end }}
        {{- if .Values.warmRestart.enabled }}
        - name: cache
          mountPath: /cache
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- if or .Values.auth.enabled .Values.warmRestart.enabled .Values.extraVolumes }}
  volumes:
    {{- if .Values.auth.enabled }}
    - name: users
      secret:
        secretName: {{ include "lintel.secretName" . }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.warmRestart.enabled }}
    - name: cache
      emptyDir:
        medium: Memory
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}
