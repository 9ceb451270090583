{{/* What the schema cannot say: values that contradict each other, each with a sentence. */}}
{{- define "model-manager.checks" -}}
{{- if contains ":" (base .Values.image.repository) -}}
{{ fail "image.repository ends with a tag: put that into image.tag." }}
{{- end -}}
{{- $token := .Values.apiToken -}}
{{- if not $token.enabled -}}
{{ fail "apiToken.enabled is false, but this service has no mode without a token: whoever reaches it could delete models. Leave it true." }}
{{- end -}}
{{- range $name := list "apiToken" "huggingface" -}}
{{- $source := index $.Values $name -}}
{{- if and $source.onepasswordVaultID (not $source.onepasswordItemID) -}}
{{ fail (printf "%s.onepasswordVaultID is set and %s.onepasswordItemID is not: name both, or neither." $name $name) }}
{{- end -}}
{{- if and $source.onepasswordItemID (not $source.onepasswordVaultID) -}}
{{ fail (printf "%s.onepasswordItemID is set and %s.onepasswordVaultID is not: name both, or neither." $name $name) }}
{{- end -}}
{{- end -}}
{{- if hasPrefix "op://" $token.value -}}
{{ fail "apiToken.value is an op:// reference, which nothing in a cluster resolves: use apiToken.onepasswordVaultID and apiToken.onepasswordItemID." }}
{{- end -}}
{{- $fromItem := include "model-manager.tokenFromOnePassword" . -}}
{{- if and $token.createSecret (not $token.value) (not $fromItem) -}}
{{ fail "apiToken.createSecret needs apiToken.value. Better: leave it false and create the Secret yourself, as the notes after the installation say." }}
{{- end -}}
{{- if and $token.value (not $token.createSecret) -}}
{{ fail "apiToken.value is set, but nothing is made of it: set apiToken.createSecret too, or remove the value." }}
{{- end -}}
{{- if gt (len (compact (list $fromItem $token.externalSecretKey $token.value))) 1 -}}
{{ fail "The API token comes from several places: choose one of apiToken.onepassword…, apiToken.externalSecretKey and apiToken.value." }}
{{- end -}}
{{- if and .Values.onepassword.itemPath .Values.gitSync.externalSecretKey -}}
{{ fail "The catalog's credentials come from two places: choose onepassword.itemPath or gitSync.externalSecretKey." }}
{{- end -}}
{{- if and (include "model-manager.hubTokenFromOnePassword" .) .Values.huggingface.externalSecretKey -}}
{{ fail "The hub's token comes from two places: choose huggingface.onepassword… or huggingface.externalSecretKey." }}
{{- end -}}
{{- if and (or $token.externalSecretKey .Values.gitSync.externalSecretKey .Values.huggingface.externalSecretKey) (not .Values.externalSecrets.storeName) -}}
{{ fail "externalSecrets.storeName is missing: name the store that the externalSecretKeys are read from." }}
{{- end -}}
{{- range $name := list "state" "weights" -}}
{{- $volume := index $.Values $name -}}
{{- if and $volume.hostPath (not $volume.hostNode) -}}
{{ fail (printf "%s.hostPath is set and %s.hostNode is not: name the node that has this folder." $name $name) }}
{{- end -}}
{{- end -}}
{{- if and (ne .Values.mode "knative") .Values.route.host -}}
{{ fail (printf "route.host makes a Knative DomainMapping, and mode is %s: put an Ingress or HTTPRoute of your own before the Service, and remove route.host." .Values.mode) }}
{{- end -}}
{{- $own := include "model-manager.environment" . | fromYaml -}}
{{- range $name, $_ := .Values.settings -}}
{{- if or (hasKey $own $name) (has $name (list "MODEL_MANAGER_API_TOKEN" "HF_TOKEN" "SERVER_PORT" "MODEL_MANAGER_HOST")) -}}
{{ fail (printf "settings.%s is set by the chart itself, from another value: see values.yaml." $name) }}
{{- end -}}
{{- end -}}
{{- end -}}
