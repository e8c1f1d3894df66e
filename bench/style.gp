# What the plots share.  A block of a data file is one line of a plot.
set terminal svg size 760, 420 font "sans-serif,13" background "white"
set grid lc "#dddddd"
set rmargin at screen 0.66
set key outside right samplen 1.5 spacing 1.2 noenhanced
set border 3
set tics nomirror noenhanced
set title noenhanced
set autoscale xfix
set offsets graph 0.02, graph 0.02, 0, 0
blocks(file) = int(system("grep -c '^\"' '" . file . "'"))
