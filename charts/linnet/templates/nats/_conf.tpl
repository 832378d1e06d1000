{{/* The configuration file of the release's NATS. */}}
{{- define "linnet.natsConf" -}}
server_name: $POD_NAME
listen: 0.0.0.0:4222
http: 0.0.0.0:8222
pid_file: /run/nats/nats.pid
max_payload: {{ include "linnet.natsSize" .Values.nats.maxPayload }}
# How long a server that stops spends on moving its clients; below the pod's grace.
lame_duck_grace_period: 5s
lame_duck_duration: 35s
jetstream {
  store_dir: /data
  max_memory_store: {{ include "linnet.natsSize" .Values.nats.memoryStore }}
  max_file_store: {{ include "linnet.nineTenths" .Values.nats.storage.size }}B
  {{- if eq (int .Values.nats.replicas) 1 }}
  # There is no copy elsewhere: a message is on disk before its publisher hears so.
  sync_interval: always
  {{- end }}
}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster {
  name: {{ include "linnet.nats" . }}
  listen: 0.0.0.0:6222
  connect_retries: 120
  routes: [
    {{- range $server := until (int .Values.nats.replicas) }}
    nats://{{ include "linnet.nats" $ }}-{{ $server }}.{{ include "linnet.nats" $ }}-servers:6222
    {{- end }}
  ]
}
{{- end }}
{{- end -}}

{{/* Nine tenths of a size such as 10Gi, in Mi. Of a disk, the rest is for what is written while blocks are compacted. */}}
{{- define "linnet.nineTenths" -}}
{{- $check := include "linnet.natsSize" . -}}
{{- $unit := regexFind "[KMGT]i$" . -}}
{{- $mib := mul (trimSuffix $unit . | int64) (get (dict "Ki" 0 "Mi" 1 "Gi" 1024 "Ti" 1048576) $unit) -}}
{{- if lt $mib 100 -}}
{{ fail (printf "%s is too little for NATS: at least 100Mi" .) }}
{{- end -}}
{{ div (mul $mib 9) 10 }}Mi
{{- end -}}
