{{- define "kommo.name" -}}
{{- ternary .Release.Name (print .Release.Name "-" .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "kommo.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kommo.labels" -}}
{{ include "kommo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "kommo.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default (print "v" .Chart.AppVersion) }}{{ end }}
{{- end }}

{{- define "kommo.secret" -}}
{{- if and .Values.secret.existing .Values.secret.values }}
{{- fail "secret.existing and secret.values: set one of them" }}
{{- end }}
{{- .Values.secret.existing | default (ternary (include "kommo.name" .) "" (not (empty .Values.secret.values))) }}
{{- end }}

{{- define "kommo.file" -}}
{{ if .Values.pipeline.text }}/config/connect.yaml{{ else }}{{ required "pipeline.file: name a file of the image, or set pipeline.text" .Values.pipeline.file }}{{ end }}
{{- end }}

{{- define "kommo.env" -}}
- name: KOMMO_HTTP_ADDRESS
  value: 0.0.0.0:4195
{{- if eq .Values.checkpoints.kind "redis" }}
{{- if not (include "kommo.secret" .) }}
{{- fail (print "checkpoints.kind redis: put the URL into the key " .Values.checkpoints.redis.urlKey " of secret.values or of the Secret that secret.existing names") }}
{{- end }}
{{- if and .Values.secret.values (not (hasKey .Values.secret.values .Values.checkpoints.redis.urlKey)) }}
{{- fail (print "secret.values has no " .Values.checkpoints.redis.urlKey ", the URL that checkpoints.redis.urlKey names") }}
{{- end }}
- name: KOMMO_CHECKPOINT_URL
  valueFrom:
    secretKeyRef: { name: {{ include "kommo.secret" . }}, key: {{ .Values.checkpoints.redis.urlKey }} }
- name: KOMMO_CHECKPOINT_CACHE
  value: redis
- name: KOMMO_CHECKPOINT_CONFIG
  value: {{ with .Values.checkpoints.redis }}{{ printf "{url: \"$(KOMMO_CHECKPOINT_URL)\", prefix: %q, tls: {enabled: %t, root_cas_file: %q}}" .prefix .tls .caFile | quote }}{{ end }}
{{- end }}
{{- end }}
