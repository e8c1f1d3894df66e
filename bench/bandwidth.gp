load ARG0[1:strstrt(ARG0, "bandwidth.gp") - 1] . "style.gp"
set terminal svg size 760, 720
set logscale xy
set format x "10^{%L}"
set tics enhanced
set xlabel "float64 items"
set ylabel "GB/s"
set multiplot layout 2, 1
file = work . "/sum"
set title "Sum: 8 bytes an item (caches: " . caches . ")"
plot for [i = 0:blocks(file) - 1] file index i using 1:(8 * $1 / $2) \
    with linespoints lw 2 title columnheader(1)
file = work . "/scan"
set title "Inclusive scan: 16 bytes an item"
plot for [i = 0:blocks(file) - 1] file index i using 1:(16 * $1 / $2) \
    with linespoints lw 2 title columnheader(1)
unset multiplot
