# Reads what go test -json prints. Shows a line for each package and everything that a failed test printed; writes
# the totals, subtests included, to the file named by the variable totals. Fails if a test failed, if one was skipped
# for a reason that does not begin with "allowed:", and if there was no test.

# field returns the value of a string field as it stands in the line, "" if it is not there. Quotes within strings
# are escaped, so that this finds no field inside another's value.
function field(name,    start, rest) {
	start = index($0, "\"" name "\":\"")
	if (!start) return ""
	rest = substr($0, start + length(name) + 4)
	match(rest, /^([^"\\]|\\.)*/)
	return substr(rest, 1, RLENGTH)
}

function text(s) {
	gsub(/\\\\/, "\001", s)
	gsub(/\\n/, "\n", s)
	gsub(/\\t/, "\t", s)
	gsub(/\\r/, "\r", s)
	gsub(/\\"/, "\"", s)
	gsub(/\\u003c/, "<", s)
	gsub(/\\u003e/, ">", s)
	gsub(/\\u0026/, "\\&", s)
	gsub(/\001/, "\\\\", s)
	return s
}

# finish counts a test's result and forgets its output, after showing it if there is a reason to.
function finish(test, show) {
	if (show) printf "%s", output[package, test]
	delete output[package, test]
	delete unfinished[package, test]
}

{
	action = field("Action")
	package = field("Package")
	test = field("Test")
}

action == "build-output" { printf "%s", text(field("Output")) }

action == "output" {
	line = text(field("Output"))
	if (line !~ /^=== /) output[package, test] = output[package, test] line # which test runs, pauses, goes on
	if (test != "") unfinished[package, test] = 1
}

test != "" && action == "pass" { passed++; finish(test, 0) }

test != "" && action == "fail" { failed++; failures[package]++; finish(test, 1) }

test != "" && action == "skip" {
	skipped++
	allowed = output[package, test] ~ /_test\.go:[0-9]+: allowed:/
	if (!allowed) refused++
	finish(test, !allowed)
}

test == "" && (action == "pass" || action == "skip" || action == "fail") {
	# What was running when the package broke off has no result.
	for (key in unfinished) {
		split(key, part, SUBSEP)
		if (part[1] == package) finish(part[2], action == "fail")
	}
	# No test is to blame for a package that does not build or panics.
	if (action == "fail" && !failures[package]) failed++
	finish("", action == "fail")
	match($0, /"Elapsed":[0-9.]+/)
	mark = action == "pass" ? "ok  " : action == "skip" ? "none" : "FAIL"
	printf "%s  %s  %.1fs\n", mark, package, substr($0, RSTART + 10, RLENGTH - 10)
	fflush()
}

END {
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped > totals
	if (refused) printf "skipped without leave: %d\n", refused
	if (passed + failed + skipped == 0) print "no test ran"
	exit failed || refused || passed + failed + skipped == 0
}
