{{/* The settings that the chart knows, by their environment variables. Tokens are files, and not in here. */}}
{{- define "model-manager.environment" -}}
MODEL_MANAGER_PLATFORM: kserve
MODEL_MANAGER_API_TOKEN_FILE: {{ include "model-manager.tokenFolder" . }}/{{ include "model-manager.tokenKey" . }}
MODEL_CATALOG_ROOT: {{ .Values.catalog.rootPath }}
MODEL_CATALOG_MODELS_SUBDIR: {{ .Values.catalog.modelsSubdir }}
ACTIVE_NAMESPACE: {{ include "model-manager.active" . }}
ACTIVE_INFERENCESERVICE_NAME: {{ .Values.active.inferenceServiceName }}
WEIGHTS_PVC_NAME: {{ .Values.weights.pvcName }}
WEIGHTS_STORAGE_PATH: {{ .Values.weights.mountPath }}
STATE_PATH: {{ .Values.state.mountPath }}
MODEL_MANAGER_DEFAULT_RUNTIME: {{ .Values.runtimes.default }}
{{- /* KServe looks for it beside the models. */}}
{{- $together := eq (include "model-manager.namespace" .) (include "model-manager.active" .) }}
{{- if and (include "model-manager.hubSecret" .) (eq .Values.huggingface.secretKey "HF_TOKEN") $together }}
MODEL_MANAGER_HUB_TOKEN_SECRET: {{ include "model-manager.hubSecret" . }}
{{- end }}
{{- end -}}

{{/* What no container of ours may do. */}}
{{- define "model-manager.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The pod of the service, as both a Knative Service and a Deployment take it. */}}
{{- define "model-manager.pod" -}}
serviceAccountName: {{ include "model-manager.name" . }}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: {{ ne (int .Values.securityContext.runAsUser) 0 }}
  runAsUser: {{ int .Values.securityContext.runAsUser }}
  runAsGroup: {{ int .Values.securityContext.runAsGroup }}
  fsGroup: {{ int .Values.securityContext.fsGroup }}
  {{- if eq .Values.mode "deployment" }}
  # Not at each start of a volume with many files. Knative does not admit this field.
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
containers:
  {{- include "model-manager.manager" . | nindent 2 }}
  {{- include "model-manager.gitSync" . | nindent 2 }}
volumes:
  - name: catalog
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  - name: git-sync-tmp
    emptyDir: {}
  - name: weights
    persistentVolumeClaim: {claimName: {{ .Values.weights.pvcName }}}
  - name: state
    {{- if .Values.state.enabled }}
    persistentVolumeClaim: {claimName: {{ .Values.state.pvcName }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: api-token
    # Optional, so that the service starts without it and says which Secret and key are missing.
    secret:
      secretName: {{ .Values.apiToken.secretName }}
      optional: true
      defaultMode: 0440
  {{- with include "model-manager.gitSecret" . }}
  - name: git-credentials
    secret:
      secretName: {{ . }}
      defaultMode: 0440
      items: [{key: token, path: token}]
  {{- end }}
{{- end -}}

{{- define "model-manager.manager" -}}
- name: manager
  image: {{ include "model-manager.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [serve]
  ports:
    - name: http1
      containerPort: 8080
  env:
    {{- range $name, $value := include "model-manager.environment" . | fromYaml }}
    - name: {{ $name }}
      value: {{ $value | quote }}
    {{- end }}
    {{- range $name, $value := .Values.settings }}
    - name: {{ $name }}
      value: {{ $value | quote }}
    {{- end }}
    {{- with include "model-manager.hubSecret" . }}
    - name: HF_TOKEN
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: {{ $.Values.huggingface.secretKey }}, optional: true}
    {{- end }}
  startupProbe:
    httpGet: {path: /healthz, port: 8080}
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    httpGet: {path: /readyz, port: 8080}
    periodSeconds: 5
    timeoutSeconds: 5
  livenessProbe:
    httpGet: {path: /healthz, port: 8080}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  resources: {{- toYaml .Values.resources | nindent 4 }}
  securityContext: {{- include "model-manager.confined" . | nindent 4 }}
  volumeMounts:
    - {name: catalog, mountPath: {{ dir .Values.catalog.rootPath }}, readOnly: true}
    - {name: weights, mountPath: {{ .Values.weights.mountPath }}}
    - {name: state, mountPath: {{ .Values.state.mountPath }}}
    - {name: tmp, mountPath: /tmp}
    - {name: api-token, mountPath: {{ include "model-manager.tokenFolder" . }}, readOnly: true}
{{- end -}}

{{- define "model-manager.gitSync" -}}
- name: git-sync
  image: {{ .Values.gitSync.image }}:{{ .Values.gitSync.imageTag }}
  imagePullPolicy: IfNotPresent
  env:
    - {name: GITSYNC_REPO, value: {{ required "gitSync.repo is missing: name the https:// URL of your catalog's Git repository." .Values.gitSync.repo | quote }}}
    - {name: GITSYNC_REF, value: {{ .Values.gitSync.branch | quote }}}
    - {name: GITSYNC_ROOT, value: {{ dir .Values.catalog.rootPath | quote }}}
    - {name: GITSYNC_LINK, value: {{ base .Values.catalog.rootPath | quote }}}
    - {name: GITSYNC_PERIOD, value: "{{ int .Values.gitSync.waitSeconds }}s"}
    - {name: GITSYNC_DEPTH, value: "{{ int .Values.gitSync.depth }}"}
    - {name: GITSYNC_SUBMODULES, value: "off"}
    - {name: GITSYNC_MAX_FAILURES, value: "{{ int .Values.gitSync.maxFailures }}"}
    # A revision that is being read stays until it has been read.
    - {name: GITSYNC_STALE_WORKTREE_TIMEOUT, value: 2m}
    {{- with include "model-manager.gitSecret" . }}
    - name: GITSYNC_USERNAME
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: username}
    - {name: GITSYNC_PASSWORD_FILE, value: /etc/git-sync/token}
    {{- end }}
  resources: {{- toYaml .Values.gitSync.resources | nindent 4 }}
  securityContext:
    # The user of git-sync's image.
    runAsNonRoot: true
    runAsUser: 65533
    {{- include "model-manager.confined" . | nindent 4 }}
  volumeMounts:
    - {name: catalog, mountPath: {{ dir .Values.catalog.rootPath }}}
    - {name: git-sync-tmp, mountPath: /tmp}
    {{- if include "model-manager.gitSecret" . }}
    - {name: git-credentials, mountPath: /etc/git-sync, readOnly: true}
    {{- end }}
{{- end -}}
