"""How much of each step of an auction fits in a budget: planned by sizes and nominal speeds.

Speeds were measured once and are the same everywhere, so that the same problem and budget are
planned alike on every machine; a slower one is cut short by its clock (``pace.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from market.kernels.first_prices import POWERS
from market.kernels.problem import Problem


@dataclass(frozen=True, slots=True)
class Stage:
    """One set of lists and the price steps on it.

    ``listed`` best nodes at the present prices, spread by ``spread``, and ``drawn`` others at
    random, without which nodes that no list holds would look free. ``heat`` (first and last) are
    shares of the mean value, ``rate`` of the price unit.
    """

    listed: int
    drawn: int
    spread: float
    steps: int
    heat: tuple[float, float]
    rate: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Draft:
    """The sample that first prices are found by: bids of each thread, nodes drawn for each bid."""

    bids: int
    drawn: int
    steps: int


DRAFTS = (Draft(150, 16, 4), Draft(400, 32, 8), Draft(1_000, 48, 12))
DRAFT_HEATS = (0.05, 0.005)
DRAFT_SHARE = 0.2  # of the time for prices, if there is more than one draft to choose from
STAGES = (
    Stage(32, 16, 0.004, 30, (0.01, 0.003), (0.06, 0.01)),
    Stage(32, 16, 0.002, 60, (0.004, 0.0005), (0.03, 0.002)),
    Stage(32, 16, 0.001, 60, (0.0008, 0.0002), (0.008, 0.001)),
    Stage(48, 16, 0.0005, 60, (0.0004, 0.0001), (0.004, 0.0005)),
    Stage(48, 16, 0.0004, 80, (0.0002, 0.00006), (0.002, 0.0003)),
    Stage(48, 16, 0.0004, 80, (0.0001, 0.00004), (0.001, 0.0002)),
)
STAGES_LEAST = 2  # fewer are no better than steps on the final lists
CARRIED_FROM = 1  # the stage at which carried prices are taken up again
# On the final lists, before insertion; without a stage before, each node gets its own price here.
LAST_STEPS = Stage(0, 0, 0.0, 12, (0.025, 0.005), (0.03, 0.02))
# Warm prices, at which more nodes look alike, let greedy insertion go wrong less often.
WARM_STEPS = Stage(0, 0, 0.0, 12, (0.04, 0.01), (0.03, 0.02))
LAST_STEPS_MIN = 6
LAST_STEPS_LONG, LONG_SHARE = 20, 0.4  # so many if they take no more of the time left
WARM_SHARE = 0.3  # of the time left, after stages that looked at all nodes
LIST_WIDTHS = (128, 64, 32, 24, 16)
WIDTH_HURRIED = 32  # at most so wide where there is only time for a few steps
LISTED_SHARE = 32  # of the nodes in reach for one in a list: prices moved on lists still certify
LIST_HEAT = 0.004  # spread of final lists, as a share of the mean value, where no stage was before
LISTS_DRAWN, DRAWN_SHARE = 16, 0.1  # so many others in these if they take no more of the budget
MUCH_FREE = 0.4  # of the scarcest resource after insertion: then all nodes are looked at
PRICES_SHARE = 0.5  # of the budget left beside lists and bound
CARRIED_SHARE = 0.5
LEAST = 0.5  # of a stage's steps: stopped sooner, prices are still too hot and worse than before
# Nominal speeds of one thread, in work for each millisecond.
BLOCK_NS, ROW_NS, LANE_NS = 21.0, 1.35, 0.018  # of a bid's look at a block, its rows, their lanes
TABLE_CACHED, UNCACHED = 3_000_000, 1.4  # bytes of all blocks' rows; a look takes so much more
LISTING_NS, LISTED_LANE_NS, KEPT_NS = 180.0, 0.37, 10.0  # of a bid's list, lanes looked at, width
LISTED_PER_MS = 190_000
DRAWN_PER_MS = 12_000
DRAFTED_PER_MS = 30_000
FACTORS_PER_MS = 110_000  # of first prices, for each node
THIN = (1, 2, 4, 8, 16)  # of so many blocks a stage may look at one
LOOK_SHARE = 1.5  # of a stage's steps, for its look
DRAFT_MS = 0.3  # of first prices, beside their lists and nodes
STEP_MS = 0.1  # of a price step in which threads wait for each other, beside its lists and nodes
APART_MAX_MS = 0.5  # of a step's lists: in longer ones waiting is worth it
STEPPED_PER_MS = 80_000  # prices in a step
PREPARE_MS, PREPARED_PER_MS = 0.1, 2_000  # before the prices and after the search; bids
PASS_MS = 0.5  # of a look, beside its pairs
FILLED_PER_MS = 2_500
LOOKED_PER_MS, LOOKERS_PER_MS = 1_500_000, 2_500  # pairs, and the bids that they are of
MOVES_PER_MS = 33_000  # over the number of resources; fewer when the state outgrows the caches:
CACHED_ITEMS, OUTGROWN = 10_000, 0.36
PHASES = 24  # of a search
PHASE_MS = 0.07  # of a phase, beside its items and moves
PHASED_PER_MS = 20_000
MOVES_PER_ITEM_MAX = 60_000  # more change nothing that could be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Nominal milliseconds of each step on a problem of these sizes."""

    bids: int
    nodes: int
    resources: int
    rows: int  # of features and attributes, that a pair's value takes
    items: int
    reach: float  # nodes near enough for a bid, on average
    blocks: float  # that they lie in
    lanes: int  # of each block
    table: int  # bytes of the rows of all blocks
    threads: int

    @classmethod
    def of(
        cls, problem: Problem, *, reach: float, blocks: float, lanes: int, threads: int
    ) -> "Schedule":
        """The schedule of ``problem``."""
        resources = problem.demand.shape[1]
        rows = len(problem.feature) + resources + len(problem.attribute) + len(problem.unit_price)
        return cls(
            bids=problem.bids,
            nodes=problem.nodes,
            resources=resources,
            rows=rows,
            items=int(problem.count.sum()),
            reach=reach,
            blocks=blocks,
            lanes=lanes,
            table=4 * len(problem.block_zone) * lanes * rows,
            threads=threads,
        )

    def prepare_ms(self) -> float:
        """What is done before the prices and after the search, by callers too."""
        return PREPARE_MS + self.bids / PREPARED_PER_MS

    def pass_ms(self, width: int, every: int = 1) -> float:
        """One pass that keeps ``width`` candidates of each bid; over one of ``every`` blocks."""
        block_ns = BLOCK_NS + self.rows * (ROW_NS + LANE_NS * self.lanes)
        block_ns *= UNCACHED if self.table > TABLE_CACHED else 1.0
        listed_ns = LISTING_NS + KEPT_NS * width if width else 0.0
        block_ns += LISTED_LANE_NS * self.lanes if width else 0.0
        bid_ns = self.blocks * block_ns / every + listed_ns
        return PASS_MS + self.bids * bid_ns / 1e6 / self.threads

    def stage_ms(self, stage: Stage, steps: int, *, width: int = 0, every: int = 1) -> float:
        """A stage with ``steps`` steps; ``width`` of the lists that it finds there."""
        passes = self.pass_ms(stage.listed, every) if stage.listed else 0.0
        width += stage.listed + stage.drawn
        waiting_ms = 0.0 if not stage.listed and self.apart(width) else STEP_MS
        prices_ms = self.nodes * self.resources / STEPPED_PER_MS
        return (
            passes
            + self.drawn_ms(stage.drawn)
            + steps * (self._listed_ms(width) + prices_ms + waiting_ms)
        )

    def drawn_ms(self, drawn: int) -> float:
        """So many nodes drawn for each bid."""
        return self.bids * drawn / DRAWN_PER_MS / self.threads

    def drawn(self, budget_ms: float) -> int:
        """How many nodes are drawn beside the best for final lists that no stage was before."""
        affordable = self.drawn_ms(LISTS_DRAWN) <= DRAWN_SHARE * budget_ms
        return LISTS_DRAWN if affordable else 0

    def apart(self, width: int) -> bool:
        """Whether threads had better not wait for each other in steps on lists this wide."""
        return self._listed_ms(width) < APART_MAX_MS

    def _listed_ms(self, width: int) -> float:
        return self.bids * width / LISTED_PER_MS / self.threads

    def steps(self, stage: Stage, room: float, *, width: int = 0, every: int = 1) -> int:
        """How many steps of a stage fit in ``room`` milliseconds; 0 where too few would."""
        fixed = self.stage_ms(stage, 0, width=width, every=every)
        step = self.stage_ms(stage, 1, width=width, every=every) - fixed
        steps = min(stage.steps, int((room - fixed) / step + 1e-6))
        return steps if steps >= LEAST * stage.steps else 0

    def last_steps(self, room: float, width: int) -> Stage:
        """The steps on the final lists, with ``room`` milliseconds for them and the search."""
        stage = replace(LAST_STEPS, steps=LAST_STEPS_LONG)
        takes_ms = self.stage_ms(stage, stage.steps, width=width)
        return stage if takes_ms <= LONG_SHARE * room else LAST_STEPS

    def thinness(self, stage: Stage, room: float) -> int:
        """Of how many blocks a stage looks at one: all, where that is cheaper than its steps.

        Otherwise so few that looking is no more than half as dear again, and that all fits in
        ``room``.
        """
        rest = self.stage_ms(replace(stage, listed=0), stage.steps, width=stage.listed)
        if self.pass_ms(stage.listed) <= rest:
            return 1
        for every in THIN:
            look = self.pass_ms(stage.listed, every)
            if look <= LOOK_SHARE * rest and look + rest <= room:
                return every
        return THIN[-1]

    def least_ms(self, stages: Sequence[Stage], room: float) -> float:
        """``stages`` with the fewest steps that are of use, each as thin as ``room`` demands."""
        return sum(
            self.stage_ms(stage, ceil(LEAST * stage.steps), every=self.thinness(stage, room))
            for stage in stages
        )

    def draft_ms(self, draft: Draft) -> float:
        """First prices; each thread has a sample of its own."""
        listed = draft.bids * draft.drawn
        step = listed / DRAFTED_PER_MS + self.nodes * self.resources * POWERS / FACTORS_PER_MS
        return DRAFT_MS + listed / DRAWN_PER_MS + draft.steps * step

    def draft(self, room: float) -> Draft:
        """The most thorough draft in its share of ``room`` milliseconds, or the first of all."""
        fit = [draft for draft in DRAFTS if self.draft_ms(draft) < DRAFT_SHARE * room]
        return fit[-1] if fit else DRAFTS[0]

    def list_width(self, budget_ms: float) -> int:
        """Candidates of each bid in the final lists; wide ones if they take half of the budget."""
        for width in LIST_WIDTHS:
            twice = 2.0 * self.pass_ms(width) if width > WIDTH_HURRIED else 0.0
            if max(self.hurried_ms(width), twice) < budget_ms:
                return width
        return LIST_WIDTHS[-1]

    def hurried_ms(self, width: int) -> float:
        """The least that gives a plan: first prices, lists, a few steps on them, insertion."""
        steps_ms = self.stage_ms(LAST_STEPS, LAST_STEPS_MIN, width=width)
        insert_ms = self.insert_ms(certify=self.worth_certifying(width))
        draft_ms = self.draft_ms(DRAFTS[0])
        return self.prepare_ms() + draft_ms + self.pass_ms(width) + steps_ms + insert_ms

    def worth_certifying(self, width: int) -> bool:
        """Whether prices moved on lists this wide alone give a better bound than those before.

        Where lists hold few of the nodes, all others look free, and the bound would be worse.
        """
        return width * LISTED_SHARE > self.reach

    def look_ms(self) -> float:
        """All nodes with room looked at for what found no place."""
        return self.bids * (self.reach / LOOKED_PER_MS + 1.0 / LOOKERS_PER_MS)

    def insert_ms(self, *, certify: bool) -> float:
        """Greedy insertion by one thread; all share a pass for the bound meanwhile."""
        fill_ms = self.items / FILLED_PER_MS
        return max(fill_ms, fill_ms / self.threads + self.pass_ms(0)) if certify else fill_ms

    def moves(self, room: float) -> int:
        """Moves of the search in ``room`` milliseconds; 0 where too few to be worth it."""
        rate = moves_per_ms(self.items, self.resources)
        room -= PHASES * (PHASE_MS + self.items / PHASED_PER_MS)
        moves = int(max(0.0, room) * rate * self.threads)
        return min(moves, MOVES_PER_ITEM_MAX * self.items) if moves > self.items // 2 else 0


def moves_per_ms(items: int, resources: int) -> float:
    """Nominal moves of one thread's search among ``items``."""
    small = min(1.0, CACHED_ITEMS / max(items, 1)) ** OUTGROWN
    return MOVES_PER_MS / max(resources, 1) * small
