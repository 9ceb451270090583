{{/* vLLM, as src/model_manager/serving/runtimes/vllm.yaml has it: a test holds the two equal. Arguments: root, runtime. */}}
{{- define "model-manager.vllm" -}}
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: {{ .runtime.name }}
  namespace: {{ include "model-manager.active" .root }}
  labels: {{- include "model-manager.labels" .root | nindent 4 }}
  annotations:
    model-manager/engine: vllm
    model-manager/api-key-env: VLLM_API_KEY
spec:
  supportedModelFormats:
    - {name: vLLM, version: "1", autoSelect: false}
    - {name: custom, version: "1", autoSelect: false}
  protocolVersions: [v1, v2]
  multiModel: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: kserve-container
      image: {{ .runtime.image }}
      # No shell: KServe appends a model's arguments to these, and a script would not pass them on.
      command: [vllm, serve]
      args: [/mnt/models, --host=0.0.0.0, --port=8080]
      env:
        - {name: HF_HUB_OFFLINE, value: "1"}
        - {name: VLLM_NO_USAGE_STATS, value: "1"}
        - {name: DO_NOT_TRACK, value: "1"}
        {{- with .runtime.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- include "model-manager.modelServer" (dict "startPeriod" 5 "startFailures" 240) | nindent 6 }}
      volumeMounts:
        - {name: shm, mountPath: /dev/shm}
  volumes:
    - name: shm
      emptyDir: {medium: Memory}
{{- end -}}

{{/* llama.cpp, as src/model_manager/serving/runtimes/llama-cpp.yaml has it, confined. */}}
{{- define "model-manager.llamaCpp" -}}
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: {{ .Values.runtimes.llamaCpp.name }}
  namespace: {{ include "model-manager.active" . }}
  labels: {{- include "model-manager.labels" . | nindent 4 }}
  annotations:
    model-manager/engine: llama-cpp
    model-manager/api-key-env: ENGINE_API_KEY
spec:
  supportedModelFormats:
    - {name: gguf, version: "1", autoSelect: false}
    - {name: custom, version: "1", autoSelect: false}
  protocolVersions: [v1, v2]
  multiModel: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: kserve-container
      image: {{ .Values.runtimes.llamaCpp.image | default (include "model-manager.image" .) }}
      command: [python3, -m, model_manager.engines.llama_cpp]
      args: [--model=/mnt/models, --host=0.0.0.0, --port=8080]
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
        {{- include "model-manager.confined" . | nindent 8 }}
      {{- include "model-manager.modelServer" (dict "startPeriod" 1 "startFailures" 1200) | nindent 6 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: tmp
      emptyDir: {}
{{- end -}}

{{/* Port and probes of a model server; it has 20 minutes to start. Arguments: startPeriod, startFailures. */}}
{{- define "model-manager.modelServer" -}}
# No port name: a Knative pod accepts none other than http1 and h2c.
ports:
  - {containerPort: 8080, protocol: TCP}
terminationMessagePolicy: FallbackToLogsOnError
startupProbe:
  httpGet: {path: /health, port: 8080}
  periodSeconds: {{ .startPeriod }}
  timeoutSeconds: 5
  failureThreshold: {{ .startFailures }}
readinessProbe:
  httpGet: {path: /health, port: 8080}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
livenessProbe:
  httpGet: {path: /health, port: 8080}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}
