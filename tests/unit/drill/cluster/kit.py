"""A shop in the fake cluster: two gateways, three replicas of web, and of api two to five by an autoscaler."""

from __future__ import annotations

from tests.unit.deploy.kubernetes.drilled import DrilledCluster


def shop() -> DrilledCluster:
    found = DrilledCluster()
    for name, count in (("gateway", 2), ("web", 3), ("api", 2)):
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"}
        template = {
            "metadata": {"labels": {**labels, "colonnade.dev/service": name}},
            "spec": {"containers": [{"name": name, "image": f"{name}:1"}]},
        }
        spec = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
        value = {"kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}
        found.put(f"/apis/apps/v1/namespaces/shop/deployments/{name}", value)
    scaler = {
        "metadata": {"name": "api"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 5},
    }
    found.put("/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/api", scaler)
    return found
