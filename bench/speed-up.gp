load ARG0[1:strstrt(ARG0, "speed-up.gp") - 1] . "style.gp"
file = work . "/speed-up"
set title "Speed-up over one worker or thread (caches: " . caches . ")"
set xlabel "workers or threads"
set logscale x 2
set yrange [0:*]
plot for [i = 0:blocks(file) - 1] file index i using 1:2 \
    with linespoints lw 2 title columnheader(1)
