# Sums up what lcov wrote (SF: a file, DA:LINE,TIMES): a line of a table for
# each folder of src, and all lines that were never run into `uncovered`.
/^SF:/ {
    path = substr($0, 4)
    file = substr(path, length(src) + 2)
    room = substr(file, 1, index(file, "/") - 1)
}
/^DA:/ {
    split(substr($0, 4), line, ",")
    lines[room]++
    if (line[2] > 0)
        run[room]++
    else
        missed[path] = missed[path] " " line[1]
}
END {
    sort = "LC_ALL=C sort"
    printf "%-10s %7s %7s %6s\n", "room", "lines", "run", "%"
    fflush()
    for (room in lines) {
        printf "%-10s %7d %7d %6.1f\n", room, lines[room], run[room],
            100 * run[room] / lines[room] | sort
        all += lines[room]
        all_run += run[room]
    }
    close(sort)
    printf "%-10s %7d %7d %6.1f\n", "all", all, all_run, 100 * all_run / all
    for (path in missed)
        print_missed(path, missed[path])
}

function print_missed(path, numbers, list, n, k, at, text) {
    n = split(numbers, list, " ")
    for (k = 1; k <= n; k++)
        wanted[list[k]] = 1
    at = 0
    while ((getline text < path) > 0)
        if (++at in wanted)
            printf "%s:%d:%s\n", substr(path, length(src) - 2), at,
                text | (sort " -t: -k1,1 -k2,2n >" uncovered)
    close(path)
    delete wanted
}
