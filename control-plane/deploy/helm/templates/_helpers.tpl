{{- define "troupe.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "troupe.labels" -}}
app.kubernetes.io/name: troupe
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Empty unless admin listeners speak HTTPS. */ -}}
{{- define "troupe.adminTls" -}}
{{- if and .Values.certManager.enabled .Values.certManager.adminTls }}true{{ end }}
{{- end }}

{{- define "troupe.adminScheme" -}}
{{ ternary "HTTPS" "HTTP" (not (empty (include "troupe.adminTls" .))) }}
{{- end }}

{{- define "troupe.secret" -}}
{{ default (include "troupe.name" .) .Values.existingSecret }}
{{- end }}
