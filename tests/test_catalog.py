import pytest

from dino_ir import catalog
from dino_ir.errors import RecipeError


def test_unknown_shelf_lists_the_known():
    with pytest.raises(RecipeError, match="no shelf 'network'; there are: datasets, degradations"):
        catalog.names("network")


def test_unknown_name_lists_the_known():
    with pytest.raises(RecipeError, match=r"no 'restromer' in networks/; there are: .*restormer"):
        catalog.build("networks", {"name": "restromer"})


def test_unknown_option_lists_the_known():
    with pytest.raises(RecipeError, match=r"unexpected keyword argument 'width'.*it takes: dim, depths"):
        catalog.build("networks", {"name": "restormer", "width": 4})


def test_table_without_a_name_says_so():
    with pytest.raises(RecipeError, match="needs a name"):
        catalog.build("networks", {"dim": 48})


def test_refused_value_names_the_part():
    with pytest.raises(RecipeError, match=r"degradations/gaussian_noise: .*sigma"):
        catalog.build("degradations", {"name": "gaussian_noise", "sigma": -1})


def test_a_part_is_read_by_its_name_or_from_a_table():
    assert catalog.read_table("haze") == {"name": "haze"}
    assert catalog.read_table('{name="rain", strength="heavy"}') == {"name": "rain", "strength": "heavy"}


def test_a_table_that_is_not_toml_is_refused():
    with pytest.raises(RecipeError, match=r"\{name=\} is not a TOML table"):
        catalog.read_table("{name=}")


def test_inner_tables_are_parts_too():
    chain = catalog.build(
        "degradations",
        {"name": "chain", "degradations": [{"name": "gaussian_blur"}, {"name": "gaussian_noise"}]},
    )

    assert [type(part).__name__ for part in chain.degradations] == ["GaussianBlur", "GaussianNoise"]


@pytest.mark.parametrize(
    ("shelf", "table", "said"),
    [
        (
            "degradations",
            {"name": "gaussian_noise", "sigma": "25"},
            r"noise: sigma: expected a number or a list of numbers, got '25'$",
        ),
        ("restorers", {"name": "bm3d", "sigma": "25"}, r"bm3d: sigma: expected a number, got '25'$"),
        ("restorers", {"name": "nl_means", "told": "no"}, r"told: expected true or false, got 'no'$"),
        ("degradations", {"name": "gaussian_noise", "sigma": [1, "2"]}, r"\(given: sigma = \[1, '2'\]\)$"),
    ],
)
def test_a_value_of_a_wrong_type_names_the_part_and_the_option(shelf, table, said):
    with pytest.raises(RecipeError, match=said):
        catalog.build(shelf, table)


def test_text_is_taken_where_text_is_wanted():
    assert catalog.build("degradations", {"name": "rain", "strength": "heavy"}).strength == "heavy"
    assert catalog.build("metrics", {"name": "ssim", "window": "uniform"}).window == "uniform"
