load ARG0[1:strstrt(ARG0, "latency.gp") - 1] . "style.gp"
set terminal svg size 760, 720
set logscale x 2
set logscale y
set xlabel "workers, threads or processes"
set ylabel "microseconds"
set multiplot layout 2, 1
file = work . "/barrier"
set title "A barrier (caches: " . caches . ")"
plot for [i = 0:blocks(file) - 1] file index i using 1:($2 / 1e3) \
    with linespoints lw 2 title columnheader(1)
file = work . "/region"
set title "An empty region"
plot for [i = 0:blocks(file) - 1] file index i using 1:($2 / 1e3) \
    with linespoints lw 2 title columnheader(1)
unset multiplot
