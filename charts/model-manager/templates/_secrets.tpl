{{/* A Secret of this name, made from a 1Password item's fields. Arguments: root, name, path. */}}
{{- define "model-manager.onePasswordItem" -}}
apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata:
  name: {{ .name }}
  namespace: {{ include "model-manager.namespace" .root }}
  labels: {{- include "model-manager.labels" .root | nindent 4 }}
  annotations:
    # Argo CD: before the pods that mount it.
    argocd.argoproj.io/sync-wave: "-1"
spec:
  itemPath: {{ .path }}
{{- end -}}

{{/* A Secret of this name, made from the properties below a key of the store. Arguments: root, name, key. */}}
{{- define "model-manager.externalSecret" -}}
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: {{ .name }}
  namespace: {{ include "model-manager.namespace" .root }}
  labels: {{- include "model-manager.labels" .root | nindent 4 }}
  annotations:
    # Argo CD: before the pods that mount it.
    argocd.argoproj.io/sync-wave: "-1"
spec:
  refreshInterval: {{ .root.Values.externalSecrets.refreshInterval }}
  secretStoreRef:
    kind: {{ .root.Values.externalSecrets.storeKind }}
    name: {{ .root.Values.externalSecrets.storeName }}
  target:
    name: {{ .name }}
  dataFrom:
    - extract:
        key: {{ .key }}
{{- end -}}
