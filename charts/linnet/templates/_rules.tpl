{{/*
What the operator may do where it serves channels. Nothing has `update`: server-side apply needs `create` and `patch`.
`delete` is for children that an edit of the channel makes superfluous; the rest goes with the channel's owner references.
*/}}
{{- define "linnet.rules" -}}
# Channels: read what is asked for; set the finalizer; write what is.
- apiGroups: [realtime.linnet.dev]
  resources: [realtimechannels]
  verbs: [get, list, watch, patch]
- apiGroups: [realtime.linnet.dev]
  resources: [realtimechannels/status]
  verbs: [get, patch]
# Owner references that block the owner's deletion need this where the API server checks it.
- apiGroups: [realtime.linnet.dev]
  resources: [realtimechannels/finalizers]
  verbs: [update]
# Children: configuration, addresses and identity of the gateways.
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# Children: the gateways.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Children: how many gateways a drain of nodes may take at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Children: who reaches the gateways, and the ways in.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Gateways' pods: read their readiness; annotate them, so that a new configuration and the next to go are known at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# Secrets that a channel names: read one by one, never listed, so that no copy of a namespace's Secrets is held.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# Events on channels; `patch` counts one that repeats.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
