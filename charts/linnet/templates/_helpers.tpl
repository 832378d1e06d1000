{{/* Name of the release's objects. At most 50 characters, so that suffixes fit. */}}
{{- define "linnet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains "linnet" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-linnet" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "linnet.operator" -}}{{ include "linnet.fullname" . }}-operator{{- end -}}
{{- define "linnet.nats" -}}{{ include "linnet.fullname" . }}-nats{{- end -}}

{{- define "linnet.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "linnet.operator" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* Labels by which the parts of a release find each other. They never change: a Deployment's selector can't. */}}
{{- define "linnet.selector.operator" -}}
app.kubernetes.io/name: linnet-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "linnet.selector.nats" -}}
app.kubernetes.io/name: linnet-nats
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of all objects but their name's. */}}
{{- define "linnet.labels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: linnet
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's reference: a dict with `image` (repository, tag, digest) and `tag`, the one where none is given. */}}
{{- define "linnet.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end -}}
{{- end -}}

{{/* Where channels without spec.broker find NATS; empty where they have none. */}}
{{- define "linnet.natsUrl" -}}
{{- if and .Values.nats.enabled .Values.nats.url -}}
{{ fail "nats.enabled and nats.url are both set: run NATS in this release, or name your own, not both" }}
{{- end -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "linnet.nats" . }}.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{ .Values.nats.url }}
{{- end -}}
{{- end -}}

{{/* A Quantity in binary units, as NATS writes sizes: 10Gi is 10GiB there. */}}
{{- define "linnet.natsSize" -}}
{{- if not (regexMatch "^[0-9]+[KMGT]i$" .) -}}
{{ fail (printf "%s: NATS takes sizes such as 256Mi, 10Gi or 1Ti only" .) }}
{{- end -}}
{{ . }}B
{{- end -}}

{{/* What Pod Security `restricted` asks of a container, and a root that can't be written. */}}
{{- define "linnet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
{{- define "linnet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}
