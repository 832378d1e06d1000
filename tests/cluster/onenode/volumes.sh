# A storage class whose volumes are folders of this machine, as kind has one. Sourced by onenode.sh.
# shellcheck shell=bash

start_volumes() {
  inside kubectl apply --server-side --filename - >/dev/null <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: linnet.dev/folder
reclaimPolicy: Retain
# Pods are scheduled before their claims are bound: the scheduler may miss that a claim was bound while it looked, and looks
# again only after five minutes.
volumeBindingMode: WaitForFirstConsumer
YAML
  start volumes bash "$here/onenode/provision" "$state/volumes" "$kubeconfig"
}
