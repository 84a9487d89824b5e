{{- define "troupe.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "troupe.labels" -}}
app.kubernetes.io/name: troupe
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "troupe.secret" -}}
{{ default (include "troupe.name" .) .Values.existingSecret }}
{{- end }}
