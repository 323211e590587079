"""Why pods do not come, where Kubernetes does not even take them."""

from types import SimpleNamespace

from astrok8s._pods import Pods

SAID = """\
Exception when notifying snapshot subscriber.
io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://10.0.0.1:6443/api/v1/\
namespaces/spark/pods. Message: pods "exec-1" is forbidden: exceeded quota: small. \
Received status: Status(apiVersion=v1, code=403).
\tat io.fabric8.kubernetes.client.KubernetesClientException.copyAsCause(KubernetesClientException.java:205)
"""


def test_what_the_driver_says_is_told_where_there_is_no_pod() -> None:
    api = SimpleNamespace(list_namespaced_pod=lambda *_, **__: SimpleNamespace(items=[]))
    assert Pods(api, "spark", "spark-role=executor", lambda: SAID).why_missing() == [
        'Kubernetes refuses their pods: pods "exec-1" is forbidden: exceeded quota: small'
    ]
    assert Pods(api, "spark", "spark-role=executor").why_missing() == []
