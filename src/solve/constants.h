/* Every number that the solver was given rather than found, with its unit and its reason. docs/ablation.md shows
 * what they buy (make ablation). */
#ifndef TSPI_SOLVE_CONSTANTS_H
#define TSPI_SOLVE_CONSTANTS_H

/* Proofs. */

/* Stamps are whole ns, and formats round them: either end of a hop may be off by one. */
#define ROUNDING_NS 2

/* Drift is counted as a difference of floor(rho * t): along one clock the error stays below 1 ns however many instants
 * lie between, and every hop pays for one such piece of a path. */
#define TELESCOPE_NS 1

/* A hop is pruned only when another makes it redundant with this much to spare: interpolating a track in whole ns may
 * be off by one at each end, and each of the two drift ties by one. */
#define PRUNE_MARGIN_NS 4

/* Sweeps along clocks (sweep.c), one or two as a rule; what is not done after the work of so many over all that there
 * is is left to Dijkstra. It changes the time taken and nothing else. */
#define SWEEPS_MOST 40

/* Of clocks that lie centuries apart sums leave 64 bits, and what was a potential is none: then a vertex may be lowered
 * without end, and a way may come back to itself. With one each vertex is settled once, and ways are halved as often as
 * a number of vertices has binary digits; so many times a vertex is ample for both. */
#define REACH_TURNS 64

/* Estimates. */

/* An edge's lowest slack is dropped when it stands apart from the next by this many times their own spacing (and by a
 * microsecond, below which stamps' own jitter makes gaps): such a minimum is a late stamp, not a fast hop. Looked for
 * within the lowest 2 % and never beyond the lowest 24, where at least 7 hops remain to compare with. */
#define ISOLATED_SPACINGS 10.0
#define ISOLATED_FLOOR_NS 1000.0
#define ISOLATED_PART 0.02
#define ISOLATED_MOST 24
#define ISOLATED_LEAST 7

/* Hops that an edge's window should hold for its minimum to mean something: with Exp tails the minimum of 40 lies at
 * 1/40 of the mean above the floor. Windows are never shorter than half a second, where smoothing would follow noise,
 * nor longer than an eighth of the run, below which no drift could be seen. */
#define WINDOW_HOPS 40
#define WINDOW_LEAST_NS 5e8
#define WINDOW_PARTS 8

/* The smoother's grids. Window noise: half decades from 10 ns to 10 ms. Rate noise: decades of ns^2/s^3; 1e-8 is a
 * quartz clock that never changes its rate, 1e8 one whose rate wanders by 10 ppm in a second. Prior of the rate: an
 * undisturbed clock (0.001 ppm) or an ordinary one (10 ppm); it stands at both ends of a series, so at each for half of
 * what it says (variance times two). Without it two windows give thousands of ppm. */
#define NOISE_GRID 13
#define NOISE_GRID_LEAST 1.0 /* log10 ns */
#define NOISE_GRID_STEP 0.5
#define RATE_NOISE_GRID 17
#define RATE_NOISE_LEAST (-8.0) /* log10 ns^2/s^3 */
#define RATE_PRIORS                                                                                                    \
    {                                                                                                                  \
        1.41, 1.41e4                                                                                                   \
    } /* ns/s */
#define RATE_PRIORS_N 2

/* The scatter of a clock's own cycle means, which are free of clock error, is the prior of its noise: worth this many
 * squared decades of -2 log likelihood. Grid points further than the reach from it are not tried. */
#define NOISE_PRIOR 20.0
#define NOISE_REACH 1.6       /* decades */
#define NOISE_KNOWN_REACH 0.5 /* of a noise that is known from shorter windows */
#define NOISE_FLOOR_NS 10.0   /* added: stamps are no better */
#define NOISE_DEFAULT_NS 1e6  /* with nothing to go by */

/* A window's weight goes with the square of its hops against the usual count (the minimum of n exponentials scatters
 * as 1/n), within limits that keep one window from deciding alone. */
#define WEIGHT_LEAST 0.02
#define WEIGHT_MOST 4.0

/* The usual level: that below which a fifth of the hops' windows lie. A window's excess over it bounds its error to
 * either side, hence a uniform error's variance, a third of its square. */
#define LEVEL_PART 0.2
#define EXCESS_DIVISOR 3.0
/* A cycle mean so many times its scatter below those of so many windows either way, but for one, holds lies. */
#define DIP_SIGMA 5.0
#define DIP_BESIDE 2

/* Refinements: more change nothing measurable, fewer leave windows too short for quiet clocks. */
#define REFINEMENTS 3
/* A refinement changes a window at most fourfold up, twofold down, and leaves a node at least 6 windows to show its
 * bends, or 2 when it is so stiff that a line will do. */
#define WINDOW_SHRINK 0.5
#define WINDOW_GROW 4.0
#define WINDOW_LEAST_PARTS 6.0
#define WINDOW_STIFF_PARTS 2.0
#define STIFF 1e5

/* While lies are not yet removed, a quantile of the slacks stands for an edge: twice this part in the first passes, and
 * the fence is built on it. When the stamps turn out contradictory it is doubled, up to the most. */
#define LIE_PART 0.05
#define LIE_PART_MOST 0.20

/* Sparse: fewer hops than this per edge and window. A robust line per clock comes first, by least absolute deviations
 * (iteratively reweighted; below the floor a deviation counts as noise), from at most so many hops, and so many a
 * clock. Slopes are what oscillators have (ns/s) where a clock's hops are too close together to tell. */
#define LINE_RATE_PRIOR 1e4
#define SPARSE_HOPS 20.0
#define LINE_FLOOR_NS 5e4
#define LINE_ROUNDS 25
#define LINE_SOLVER_ROUNDS 400
#define LINE_HOPS 50000
#define LINE_HOPS_A_CLOCK 1000
#define LINE_CLOSE_NS 500.0 /* no parameter moves further: done */

/* The fence: below the low quantile by this many times the way from it to the next (four times as high). Edges with
 * fewer hops than the least are pooled, as deviations from their pair's median, and judged by the way to the median. */
#define FENCE_LEAST 40
#define FENCE_BULK 0.2 /* lies are fewer than this */
#define BULK_LEAST 12  /* hops of a window, for its bulk to mean something */
#define FENCE_REACH 4.0
#define FENCE_STEP 4.0
#define FENCE_SPARSE_REACH 3.0

/* Soft hops join when their minima undercut the hard ones' no more often than chance (this many sigma) and their low
 * tail is no longer. */
#define SOFT_SIGMA 4.0
#define SOFT_LEAST 40

/* Steps. A jump is taken when it betters -2 log likelihood by this much (flat from 30 to 120: clocks either step or do
 * not), never within three windows of an end, where a bend would do. */
#define STEP_RATIO 60.0
#define STEP_EDGE 3
#define STEP_SIDE 6         /* windows either side that give the size */
#define STEP_SIZE_LEAST 1e4 /* ns: prior scale of the size */
#define STEPS_MOST 40
#define STEP_RATE_PRIOR 1e4 /* ns/s */
#define STEP_PRIOR 1e9      /* ns: of a root's step, once it is found */
/* Bends. Places tried in a window; a node needs so many windows to show any. A bend is entered when it betters -2 log
 * likelihood by what chance does in one of a hundred runs of a thousand places (2 ln 1e5); the bends of a clock stay
 * when together they better it by STEP_RATIO. The prior of a bend is that of a rate. */
#define BEND_LEADS 3
#define BEND_WINDOWS 12
#define BEND_RATIO 23.0
#define BEND_PRIOR 1e4 /* ns/s */
#define BENDS_MOST 100
/* The noise of windows while changes are looked for, against the scatter of their own cycle means: it may not be blown
 * up by the very step that is looked for. */
#define STEP_NOISE_MOST 3.0

/* Locating a step: hops within 3 windows take part, those from 1 to 12 windows away give each edge's floor (2 %
 * quantile). A hop's cost on a side is its excess over the floor in units of the usual excess, capped so that no lie
 * outweighs a dozen hops; below the floor it rises five times as fast. A hop that is either a lie or a long wait is a
 * wait: its cap is one less (e times as likely). 20 us is what a floor is known to. */
#define LOCATE_NEAR 3.0
#define LOCATE_FAR 12.0
#define LOCATE_FLOOR_PART 0.02
#define LOCATE_FLOOR_NS 2e4
#define LOCATE_BELOW 0.2
#define LOCATE_BELOW_MOST 5.0
#define LOCATE_COST_MOST 12.0
#define LOCATE_WAIT_MOST 11.0
#define LOCATE_MARGIN_NS 1e6

/* A step is joined again when what is left of it is within 3 sigma or below a quarter of its first size. */
#define STEP_KEEP_SIGMA 3.0
#define STEP_KEEP_PART 0.25
#define STEP_SIGMA_DEFAULT_NS 3e4

/* Frames. Without a reference, clocks are compared at so many instants with so many others; two within about a
 * millisecond of each other count as agreeing (a delay's asymmetry can hide that much). */
#define FRAME_INSTANTS 5
#define FRAME_COMPARED 256
#define FRAME_SAME_NS 1e6
/* Of clocks near the middle, the one that is inverted most by clocks three times as far off: 3 : 1 as in SUSPECT_PART.
 * A clock that is off those near the middle is inverted more often than they are by this many sigma of either count. */
#define FRAME_FAR 3.0
#define FRAME_SIGMA 4.0
/* A clock is accused in a frame that was not named when more than half of the others are nearer to the frame than to
 * it: by FRAME_FAR and beyond noise, or twice as near and no other says otherwise. Of convictions on starved machines
 * (solve_table starved-skew) one in a hundred then hits a right clock; by a plain majority one in 40, with nobody asked
 * one in seven. */
#define FRAME_NEARER 2.0
/* A frame is left for one that is nearer to all by a quarter: among equals the sums differ by less. */
#define FRAME_BETTER 0.75

/* Soft hops. Of n hops, the k smallest bound nothing, k being what lies alone would exceed only with this probability.
 * The rate of lies is the upper 95 % limit from same-clock calls, where at least 8 were seen, and never taken for more
 * than the rate beyond which an operation says nothing at all. Counted within 5 s, or a window if that is longer. */
#define SOFT_CHANCE 1e-4
#define SOFT_CALLS_LEAST 8
#define SOFT_LIES_MOST 0.35
#define SOFT_WINDOW_NS 5e9

/* For the mending, hops are taken back unless they contradict what must hold: of edges that have so many, as one late
 * stamp moves no clock. An edge of which this part contradicts is not asked at all (few do, as late stamps are
 * few); after so many contradictions none is. */
#define SOFT_ASKED_LEAST 8
#define SOFT_REFUSED_PART 0.02
#define SOFT_REFUSED_MOST 200

/* Verdicts. Suspected: off by more than 5 standard errors, and by more than half the half-width of the bounds, that is,
 * delays would have to split worse than 3 : 1. Not below 8 hops each way; below 4 there is no estimate. And by more
 * than 10 times the mean gap between the 8 fastest hops either way: where waits have no floor, half the difference of
 * two fastest waits exceeds that by chance in (1 + 20/7)^-7 = 1e-4 of clocks. */
#define SUSPECT_SIGMA 5.0
#define SUSPECT_GRAINS 10.0
#define SUSPECT_PART 0.5
#define SUSPECT_HOPS 8
#define ESTIMATE_HOPS 4

/* An edge that may convict has at least so many truthful hops, as many as a suspicion needs. Its low tail is
 * measured from the 20 % quantile, where there are hops enough: the mean way down from it against the body (the way up
 * to the median, or half of that to the 80 % quantile) is 0.17 for a floor with exponential waits above it, 0.33 for a
 * uniform and a lognormal and 0.66 for a normal delay, but 0.8 to 1.1 where stamps wait: slacks are then exponential
 * below. The limit lies between. */
#define CREDIBLE_LEAST 8
#define CREDIBLE_CHANCE 1e-3 /* that lies alone would violate more */
#define CREDIBLE_TAIL_LEAST 40
#define CREDIBLE_TAIL 0.2
#define CREDIBLE_REACH 0.75

/* Contradictory stamps: at most so many hops are set aside one by one before the rest is given up. */
#define CONFLICTS_MOST 200
/* Then clocks are set aside of whose hops more contradict each other than a few late stamps do, those that are not much
 * better than the worst (as bad, where tracks are to tell), or if there are none edges with more than stamps are late
 * anywhere (FENCE_BULK; of less than FENCE_LEAST hops more than half), and the rest is solved anew; what contradicts
 * itself still, again. Pairs are looked at in windows of so many hops either way, which a drift beyond the limit shows
 * in, and not too many; so many drifts are tried either way. */
#define CONTRADICTED_CLOCK 0.1
#define CONTRADICTED_DRIFTS 4
#define CONTRADICTED_LIKE 0.6
#define CONTRADICTED_ALIKE 0.9
#define CONTRADICTED_SMALL 0.5
#define CONTRADICTED_ROUNDS 6
#define CONTRADICTED_WINDOW 16.0
#define CONTRADICTED_WINDOWS 63.0

/* Stray stamps. A run is the largest part of the traffic that no silence of a month divides; of that, stamps further
 * outside the middle 99.8 % than that is long are left out too. */
#define STRAY_GAP_NS 2.6e15
#define STRAY_PART 0.001

/* Work that one max-balancing may take, in edges looked at: about n m of n clocks and m edges, so 5,000 clocks with
 * 20,000 edges; a ring of a million clocks would take hours. What is not balanced by then has bounds but no estimate.
 */
#define BALANCE_WORK 50000000

/* Rounds in which clocks that cannot stay at 0 are let go one conflict at a time, before all involved are. */
#define UNPIN_ROUNDS 20

/* Projecting: the graph takes in hops whose slack is below this and so many times the worst violation: what mending one
 * may break. If that was not enough, more; in the last round all. */
#define PROJECT_SLACK_NS 1000
#define PROJECT_REACH 4
#define PROJECT_ROUNDS 5

/* One rate noise serves all clocks, but a clock whose own betters -2 log likelihood by this much keeps its own: as sure
 * as a step must be. */
#define OWN_RATIO 60.0
/* Its own prior of the rate when that betters it by this: of two or three windows a shared prior of hardly any drift
 * makes noise of one. By chance, a rate of 5 sigma. */
#define OWN_PRIOR_RATIO 10.0

#endif
