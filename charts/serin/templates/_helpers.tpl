{{- define "serin.labels" -}}
app.kubernetes.io/name: serin
app.kubernetes.io/part-of: argo-rollouts
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Where proxies load the module from, and how. */}}
{{- define "serin.module" -}}
{{- with .Values.filter -}}
{{- if .url -}}
url: {{ .url | quote }}
{{- with .sha256 }}
sha256: {{ . | quote }}
{{- end }}
{{- else -}}
url: {{ printf "oci://%s:%s%s" .image.repository (.image.tag | default $.Chart.AppVersion) (empty .image.digest | ternary "" (printf "@%s" .image.digest)) | quote }}
{{- end }}
{{- with .imagePullSecret }}
imagePullSecret: {{ . | quote }}
{{- end }}
{{- end }}
# With Always every step of a canary makes every proxy ask the registry again.
imagePullPolicy: IfNotPresent
# Without it a proxy that can't fetch or run the module refuses every request; Istio's default is FAIL_CLOSE.
failStrategy: FAIL_OPEN
{{- end }}
