"""astrok8s in JupyterLab: the server extension, which serves the clusters to whoever is logged in."""


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    # Imported here, since an operation's process needs the package and not Jupyter's server, which takes a second.
    from jupyterlab_astrok8s.extension import AstroK8sExtension

    return [{"module": "jupyterlab_astrok8s", "app": AstroK8sExtension}]
