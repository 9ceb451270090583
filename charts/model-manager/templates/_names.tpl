{{/* The name of all objects. */}}
{{- define "model-manager.name" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "model-manager" .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
{{ printf "%s-model-manager" .Release.Name }}
{{- end -}}
{{- end -}}

{{- define "model-manager.namespace" -}}
{{ .Values.namespace | default .Release.Namespace }}
{{- end -}}

{{/* The namespace of the models. */}}
{{- define "model-manager.active" -}}
{{ .Values.active.namespace | default (include "model-manager.namespace" .) }}
{{- end -}}

{{/* What selects the pods. It must stay as it is: a Deployment's selector cannot be changed. */}}
{{- define "model-manager.selector" -}}
app.kubernetes.io/name: model-manager
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{/* Labels of objects. None of them is `component`, so that no selector finds what is not the manager. */}}
{{- define "model-manager.labels" -}}
app.kubernetes.io/name: model-manager
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "model-manager.image" -}}
{{ required "image.repository is missing: name the image of Model Manager that you built and pushed (`make image`)." .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Where the API token lies in the pod. The service says this path when it is not there: so it names Secret and key. */}}
{{- define "model-manager.tokenFolder" -}}
/etc/model-manager/{{ .Values.apiToken.secretName }}
{{- end -}}

{{/* The key of the API token in its Secret. */}}
{{- define "model-manager.tokenKey" -}}
{{ if include "model-manager.tokenFromOnePassword" . }}{{ .Values.apiToken.onepasswordField | default .Values.apiToken.secretKey }}{{ else }}{{ .Values.apiToken.secretKey }}{{ end }}
{{- end -}}

{{/* "yes" or nothing, as all of these. */}}
{{- define "model-manager.tokenFromOnePassword" -}}
{{ if and .Values.apiToken.onepasswordVaultID .Values.apiToken.onepasswordItemID }}yes{{ end }}
{{- end -}}

{{- define "model-manager.hubTokenFromOnePassword" -}}
{{ if and .Values.huggingface.onepasswordVaultID .Values.huggingface.onepasswordItemID }}yes{{ end }}
{{- end -}}

{{/* The Secret with the catalog's credentials; nothing reads the repository without. */}}
{{- define "model-manager.gitSecret" -}}
{{ .Values.onepassword.secretName | default (ternary "model-catalog-git" "" (or (not (empty .Values.onepassword.itemPath)) (not (empty .Values.gitSync.externalSecretKey)))) }}
{{- end -}}

{{/* The Secret with the hub's token; nothing goes without. */}}
{{- define "model-manager.hubSecret" -}}
{{ .Values.huggingface.secretName | default (ternary "hf-token" "" (or (not (empty (include "model-manager.hubTokenFromOnePassword" .))) (not (empty .Values.huggingface.externalSecretKey)))) }}
{{- end -}}
