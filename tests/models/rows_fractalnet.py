"""FractalNet's rows: Table 3 of the paper.

Exact, by hand: of the 2^C - 1 convolutions of a block, C take what enters it; with channels 16, 32, 64, 128, 128 that
is 2304 times 106, 361, 914, 2063, 4404, 9129; colours have 432·C, batch norms 736·(2^C - 1), the classifier 1290.
"""

from tests.models.entry import family

entry = family("Larsson, Maire, Shakhnarovich", "1605.07648", 2016, "fractalnet_twin")
PUBLISHED = {1: "0.3 M", 2: "0.8 M", 3: "2.1 M", 4: "4.8 M", 5: "10.2 M", 6: "21.1 M"}
EXACT = {1: 246_682, 2: 836_106, 3: 2_113_594, 4: 4_767_210, 5: 10_173_082, 6: 21_083_466}
ROWS = [
    entry("fractalnet", EXACT[c], PUBLISHED[c], settings={"columns": c}, size=(32, 32), image=(32, 32), quick=c == 2)
    for c in EXACT
]
