import pytest

import omendb


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.omen"


@pytest.fixture
def db(path):
    with omendb.open(path) as database:
        yield database


@pytest.fixture
def docs(db):
    return db.create_collection("docs", vectors={"v": omendb.Vector(3, "l2")})
