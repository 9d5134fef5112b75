# Reads what go test -bench prints and writes a Markdown table: a line for each benchmark, a column for each figure that one of
# them has. What is no figure, such as a missed target, follows the table. Shows each benchmark on stderr as it comes.

BEGIN {
	# The figures in the order of their columns, and how the heads name them.
	n = split("ms plain-ms x/plain limit-ms x/limit x/first rows/s WAL-B/row extra-WAL-B/row WAL-B/customer stmts/row stmts/customer allocs/row" \
		" motion-median-ticks motion-p95-ticks fixed-median-ticks fixed-p95-ticks rest-median-rounds rest-p95-rounds round-ticks" \
		" peak-MiB body-MiB %CPU rows table-MiB index-MiB B/row", units, " ")
	head["plain-ms"] = "on one server, ms"
	head["x/plain"] = "times one server"
	head["limit-ms"] = "limit, ms"
	head["x/limit"] = "times the limit"
	head["x/first"] = "times the first load"
	head["WAL-B/row"] = "log, B/row written"
	head["extra-WAL-B/row"] = "beyond the tables' own"
	head["WAL-B/customer"] = "log, B/customer"
	head["stmts/row"] = "statements/row written"
	head["stmts/customer"] = "statements/customer"
	head["allocs/row"] = "allocations/row"
	head["motion-median-ticks"] = "in motion, median, ticks"
	head["motion-p95-ticks"] = "95 %"
	head["fixed-median-ticks"] = "in a fixed order, median, ticks"
	head["fixed-p95-ticks"] = "95 %"
	head["rest-median-rounds"] = "at rest, median, rounds"
	head["rest-p95-rounds"] = "95 %"
	head["round-ticks"] = "a round, ticks"
	head["peak-MiB"] = "peak, MiB"
	head["body-MiB"] = "list, MiB"
	head["table-MiB"] = "table, MiB"
	head["index-MiB"] = "indexes, MiB"
}

# number writes a figure with three significant digits, and no more than a reader needs.
function number(x) {
	if (x >= 100) return sprintf("%d", x + 0.5)
	if (x >= 10) return sprintf("%.1f", x)
	return sprintf("%.3g", x)
}

/^Benchmark/ && NF > 3 {
	name = substr($1, 10)
	sub(/-[0-9]+$/, "", name)
	gsub(/_/, " ", name)
	names[++cases] = name
	for (i = 3; i < NF; i += 2) {
		value[name, $(i + 1)] = number($i)
		used[$(i + 1)] = 1
	}
	print name > "/dev/stderr"
	next
}

/^(PASS|ok |goos|goarch|pkg)/ { next }

/^cpu: / { print substr($0, 6) "\n"; next }

# A benchmark whose parts are shown fails with them.
/^FAIL/ || /^exit status/ || /^--- FAIL/ { failed = 1; next }

{ rest = rest $0 "\n" }

END {
	line = "| |"
	rule = "|---|"
	for (u = 1; u <= n; u++) {
		if (!(units[u] in used)) continue
		line = line " " (units[u] in head ? head[units[u]] : units[u]) " |"
		rule = rule "---:|"
	}
	if (cases) print line "\n" rule
	for (c = 1; c <= cases; c++) {
		line = "| " names[c] " |"
		for (u = 1; u <= n; u++) {
			if (units[u] in used) line = line " " value[names[c], units[u]] " |"
		}
		print line
	}
	if (rest != "") printf "\n%s", rest
	exit failed || !cases
}
