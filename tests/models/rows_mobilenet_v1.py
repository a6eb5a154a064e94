"""MobileNet's rows: Table 6 of the paper, exactly as Keras counts what learns."""

from tests.models.entry import family

entry = family(
    "Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam", "1704.04861", 2017, "mobilenet_v1_twin"
)
SMALL = {"settings": {"width": 0.25}, "quick": True}

ROWS = [
    entry("mobilenet_v1", 4_231_976, "4.2 M"),
    entry("mobilenet_v1", 2_585_560, "2.6 M", settings={"width": 0.75}),
    entry("mobilenet_v1", 1_331_592, "1.3 M", settings={"width": 0.5}),
    entry("mobilenet_v1", 470_072, "0.5 M", **SMALL),
]
