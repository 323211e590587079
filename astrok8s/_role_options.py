"""The options of `provision` as types, by which editors complete them; made by scripts/role_options.py."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class RoleOptions(TypedDict, total=False):
    """Options of the roles. `astrok8s options` says what each is for, and what it is where it is left out."""

    cloud_most_clusters: int
    cloud_most_workers: int
    cvmfs_driver: Literal["daemonset", "csi"]
    cvmfs_repositories: Sequence[Any]
    cvmfs_http_proxy: str
    cvmfs_quota_mb: int
    cvmfs_max_ttl_minutes: int
    cvmfs_namespace: str
    cvmfs_timeout: int
    cvmfs_image: str
    lifecycle_ttl: str
    lifecycle_idle: str
    lifecycle_keep: bool
    lifecycle_may_keep: bool
    lifecycle_longest: str
    lifecycle_bucket: str
    lifecycle_timeout: int
    magnum_cluster_template: str
    magnum_cluster_template_definition: Mapping[str, Any]
    magnum_cluster_image: Mapping[str, Any]
    magnum_cluster_network: Mapping[str, Any]
    magnum_cluster_keypair: str
    magnum_cluster_public_key: str
    magnum_cluster_flavor: str
    magnum_cluster_master_flavor: str
    magnum_cluster_labels: Mapping[str, Any]
    magnum_cluster_timeout: int
    spark_base_namespace: str
    spark_base_service_account: str
    spark_base_version: str
    spark_base_python: str
    spark_base_key: bool
    spark_base_image: str
    spark_connect_memory_mib: int
    spark_connect_idle_minutes: float
    spark_connect_conf: Mapping[str, Any]
    spark_history_bucket: str
    spark_history_retention_days: int
    spark_shuffle_service: Literal["external", "tracking"]
    spark_shuffle_port: int
    spark_shuffle_folder: str
    spark_shuffle_bucket: str
    spark_shuffle_tracking_minutes: int
