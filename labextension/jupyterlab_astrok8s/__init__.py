"""The panel of astrok8s' clusters in JupyterLab and Notebook, and its server extension."""


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyterlab-astrok8s"}]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    # Imported here, since an operation's process needs the package and not Jupyter's server, which takes a second.
    from jupyterlab_astrok8s.extension import AstroK8sExtension

    return [{"module": "jupyterlab_astrok8s", "app": AstroK8sExtension}]
