import pytest
from ansible_collections.astrok8s.magnum.plugins.module_utils.sizing import amount, room_on_any

from astrok8s import AttachError
from astrok8s._sizing import Room, executor_properties, executor_room

NODES = [Room(cores=2, mib=8192), Room(cores=2, mib=4096)]


def test_an_executor_takes_four_fifths_of_the_fullest_node() -> None:
    room = executor_room(NODES, 2)
    assert (room.cores, room.mib) == pytest.approx((1.6, 3276.8))


def test_executors_share_a_node() -> None:
    room = executor_room(NODES, 3)
    assert (room.cores, room.mib) == pytest.approx((0.8, 1638.4))


def test_an_executor_is_no_larger_than_it_needs_to_be() -> None:
    assert executor_room([Room(cores=64, mib=512_000)], 2) == Room(cores=4, mib=4096)


def test_executors_that_would_be_too_small_are_refused() -> None:
    with pytest.raises(AttachError, match=r"8 executors on 2 nodes would have 0\.40 cores and 819 MiB each"):
        executor_room(NODES, 8)
    with pytest.raises(AttachError, match="no worker node that is ready"):
        executor_room([], 1)


def test_spark_gets_the_room_as_heap_and_overhead() -> None:
    properties = executor_properties(Room(cores=1.6789, mib=4096))
    assert properties == {
        "spark.executor.cores": "2",
        "spark.kubernetes.executor.request.cores": "1.67",
        "spark.executor.memory": "2457m",
        "spark.executor.memoryOverhead": "1639m",
    }


@pytest.mark.parametrize(
    ("quantity", "number"), [("2", 2), ("1900m", 1.9), ("24572Mi", 24572 * 2**20), ("5G", 5e9), ("0.5", 0.5)]
)
def test_quantities_of_kubernetes_are_read(quantity: str, number: float) -> None:
    assert amount(quantity) == pytest.approx(number)


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="'4 GB' is no quantity of Kubernetes"):
        amount("4 GB")


def test_an_executor_of_the_server_fits_on_every_worker_beside_the_servers() -> None:
    room = room_on_any([{"cpu": "8", "memory": "64Gi"}, {"cpu": "2", "memory": "4Gi"}])
    assert (room.cores, room.mib) == pytest.approx((1.2, 1638.4))
    assert room_on_any([{"cpu": "1", "memory": "2Gi"}]) == Room(cores=0.4, mib=1024)
