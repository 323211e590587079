"""Who may ask, and what is refused before anything is done."""

import json
import re
from typing import Any

import pytest
from contract import OPENAPI, ROUTES, conforms
from jsonschema import Draft202012Validator
from jupyterlab_astrok8s import handlers, own_handlers, pages
from jupyterlab_astrok8s.schema import cluster_schema
from tornado.httpclient import HTTPClientError

ID = "20260101T000000.000000-00000000"


def example(path: str) -> str:
    """Returns a path of openapi.yaml with values in it."""
    return re.sub(r"{\w+}", "one", path.replace("{id}", ID))


def refusal(error: pytest.ExceptionInfo[HTTPClientError]) -> tuple[int, dict[str, str]]:
    assert error.value.response
    answer = json.loads(error.value.response.body)
    conforms(answer, "Error")
    return error.value.code, answer


def test_the_openapi_file_names_every_route() -> None:
    named = {(re.sub(r"{\w+}", "*", path).removeprefix("/astrok8s/"), verb) for path, verb in ROUTES}
    served = {
        (re.sub(r"\(.*?\)", "*", route.replace(r"(\d{8}T[-.\w]+)", "*")), verb)
        for route, handler in (*handlers.HANDLERS, *own_handlers.HANDLERS, *pages.HANDLERS)
        for verb in ("get", "post", "put", "patch", "delete")
        if verb in vars(handler)
    }
    assert named == served


@pytest.mark.parametrize(("path", "verb"), ROUTES)
@pytest.mark.usefixtures("jp_serverapp")
async def test_every_route_refuses_without_a_token(
    path: str, verb: str, http_server_client: Any, jp_base_url: str
) -> None:
    url = jp_base_url.rstrip("/") + example(path)
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(
            url, method=verb.upper(), body="{}" if verb in ("post", "put", "patch") else None
        )
    assert refusal(caught)[0] == 403


async def cookies_of(server: Any, client: Any, base_url: str) -> tuple[str, str]:
    """Logs in as a browser does; returns the cookies, and the XSRF token."""
    page = await client.fetch(base_url + "login")
    xsrf = page.headers["Set-Cookie"].split("_xsrf=")[1].split(";")[0]
    form = f"password={server.identity_provider.token}&_xsrf={xsrf}"
    cookie = {"Cookie": f"_xsrf={xsrf}"}
    with pytest.raises(HTTPClientError) as redirect:
        await client.fetch(base_url + "login", method="POST", body=form, headers=cookie, follow_redirects=False)
    assert redirect.value.response
    session = redirect.value.response.headers.get_list("Set-Cookie")[0].split(";")[0]
    return f"_xsrf={xsrf}; {session}", xsrf


async def test_a_cookie_needs_the_xsrf_token(jp_serverapp: Any, http_server_client: Any, jp_base_url: str) -> None:
    cookie, xsrf = await cookies_of(jp_serverapp, http_server_client, jp_base_url)
    url, headers = jp_base_url + "astrok8s/clusters", {"Cookie": cookie}
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(url, method="POST", body="{}", headers=headers)
    assert refusal(caught)[0] == 403
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(url, method="POST", body="{}", headers=headers | {"X-XSRFToken": xsrf})
    assert refusal(caught) == (
        400,
        {
            "fact": "The request: 'name' is a required property.",
            "remedy": "See openapi.yaml; of a cluster GET /astrok8s/options says all.",
        },
    )


async def test_another_origin_is_refused(jp_serverapp: Any, http_server_client: Any, jp_base_url: str) -> None:
    cookie, xsrf = await cookies_of(jp_serverapp, http_server_client, jp_base_url)
    headers = {"Cookie": cookie, "X-XSRFToken": xsrf, "Origin": "http://elsewhere.example"}
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(jp_base_url + "astrok8s/operations", headers=headers)
    assert caught.value.code == 404  # Jupyter's own word for it


WRONG = [
    ("", "The request is not JSON"),
    ("null", "None is not of type 'object'"),
    ("[" * 100_000, "The request is not JSON"),
    ("{}", "'name' is a required property"),
    ('{"name": "one", "size": "8"}', "size: '8' is not of type 'integer'"),
    ('{"name": "one", "size": 0}', "size: 0 is less than the minimum of 1"),
    ('{"name": "one", "sise": 8}', "'sise' was unexpected"),
    ('{"name": "9lives"}', "A cluster cannot have the name '9lives'"),
    ('{"name": "one", "options": {"spark_base_sise": 8}}', "'spark_base_sise' was unexpected"),
    ('{"name": "one", "options": {"magnum_cluster_state": "absent"}}', "'magnum_cluster_state' was unexpected"),
    ('{"name": "one", "options": {"cvmfs_driver": "magic"}}', "options.cvmfs_driver: 'magic' is not one of"),
]


@pytest.mark.parametrize(("body", "fact"), WRONG, ids=lambda text: text[:50])
async def test_a_declaration_that_does_not_fit_is_refused(body: str, fact: str, jp_fetch: Any) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "clusters", method="POST", body=body)
    status, answer = refusal(caught)
    assert (status, fact in answer["fact"]) == (400, True), answer
    assert json.loads((await jp_fetch("astrok8s", "operations")).body) == {"operations": []}


WRONG_GRANTS = [
    ("{}", "'user' is a required property"),
    ('{"user": "' + "x" * 300 + '"}', "user"),
    ('{"user": "maria", "until": "2001-01-01"}', "2001"),
    ('{"user": "maria", "until": "soon"}', "soon"),
    ('{"user": "maria", "file": "/etc/passwd"}', "'file' was unexpected"),
]


@pytest.mark.parametrize(("body", "fact"), WRONG_GRANTS, ids=lambda text: text[:40])
async def test_a_grant_that_cannot_be_is_refused_before_the_cloud_is_asked(body: str, fact: str, jp_fetch: Any) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "clusters", "one", "grants", method="POST", body=body)
    status, answer = refusal(caught)
    assert (status, fact in answer["fact"]) == (400, True), answer


async def test_what_is_not_there_is_told(jp_fetch: Any) -> None:
    for path in (f"operations/{ID}", f"operations/{ID}/log"):
        with pytest.raises(HTTPClientError) as caught:
            await jp_fetch("astrok8s", *path.split("/"))
        assert refusal(caught) == (404, {"fact": f"There is no operation {ID}.", "remedy": ""})


async def test_a_cloud_that_does_not_answer_is_told(jp_fetch: Any) -> None:
    for verb, path in (("GET", ("clusters",)), ("DELETE", ("clusters", "one"))):
        with pytest.raises(HTTPClientError) as caught:
            await jp_fetch("astrok8s", *path, method=verb)
        status, answer = refusal(caught)
        assert status == 502
        assert answer["fact"].startswith("The cloud far does not answer: ")
        assert "`openstack --os-cloud far token issue` must work" in answer["remedy"]


async def test_the_options_are_a_schema(jp_fetch: Any) -> None:
    schema = json.loads((await jp_fetch("astrok8s", "options")).body)
    assert schema == cluster_schema()
    Draft202012Validator.check_schema(schema)
    options = schema["properties"]["options"]["properties"]
    assert options["spark_base_namespace"]["default"] == "spark"
    assert options["cvmfs_driver"]["enum"] == ["daemonset", "csi"]
    declared = {"name": "one", "size": 3, "options": {"spark_base_namespace": "spark", "cvmfs_repositories": []}}
    Draft202012Validator(schema).validate(declared)


def test_the_schemas_of_the_openapi_file_are_schemas() -> None:
    for schema in OPENAPI["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
