# shellcheck shell=bash
#
# Sourced by test: checks of what partnersync is deployed with, each by the tool of those who use it. A check that cannot
# be made here says so in a line that begins with "skipped:".

work=${work:?} # the caller's temporary directory

need_artefact_tools() {
	case $(uname) in
	Linux) command -v systemd-analyze >/dev/null || need systemd '' ;;
	Darwin) command -v promtool >/dev/null || need '' prometheus ;;
	esac
}

# released builds a commit twice, in two directories, and compares what came of it.
released() {
	local copy
	for copy in "$work/one" "$work/two/of it"; do
		committed_copy "$copy" || return
		TMPDIR=$work "$copy/deploy/build" "$copy.out" >"$work/build.log" 2>&1 || { cat "$work/build.log" && return 1; }
	done
	diff -r "$work/one.out" "$work/two/of it.out" || return
	if grep -q "$work" "$work/one.out/partnersync"; then
		echo "the program shows where it was built"
		return 1
	fi
	[ "$("$work/one.out/partnersync" version)" = "partnersync v0.9.0-rc.1" ] || { echo "the version is not the tag" && return 1; }
	billed partnersync && billed partnercenter-emulator
}

# billed PROGRAM checks that the bill of materials has the program's version and every module that is in it.
billed() {
	local bill=$work/one.out/$1.cdx.json module version missing=
	grep -q '"version": "v0.9.0-rc.1"' "$bill" || { echo "the bill of $1 lacks its version" && return 1; }
	while read -r module version; do
		grep -qF "\"pkg:golang/$module@$version\"" "$bill" || missing="$missing $module@$version"
	done < <(go version -m "$work/one.out/$1" | awk '$1 == "dep" { print $2, $3 } NR == 1 { print "std", $NF }')
	[ -z "$missing" ] || { echo "the bill of $1 lacks$missing" && return 1; }
}

# committed_copy DIRECTORY copies the tree there and commits it, with a tag, the same each time.
committed_copy() {
	local date=2026-01-31T12:00:00Z
	mkdir -p "$1"
	tar -cf - --exclude ./.git . | tar -xf - -C "$1" || return
	(
		cd "$1" && git init --quiet && git add --all &&
			GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date git -c user.name=test -c user.email=test@example.com \
				-c commit.gpgsign=false commit --quiet --message test && git -c tag.gpgsign=false tag v0.9.0-rc.1
	)
}

# package checks the Debian package that released has built.
package() {
	local deb wrong
	if ! command -v dpkg-deb >/dev/null; then
		echo "skipped: no dpkg-deb here"
		return 0
	fi
	deb=$work/one.out/partnersync_0.9.0~rc.1_$(dpkg --print-architecture).deb
	dpkg-deb --contents "$deb" >"$work/contents" || return
	wrong=$(awk '$2 != "root/root" || $1 ~ /^.....w/ || $1 ~ /^........w/ { print }' "$work/contents")
	[ -z "$wrong" ] || { printf 'not as it should be:\n%s\n' "$wrong" && return 1; }
	dpkg-deb --extract "$deb" "$work/root" || return
	"$work/root/usr/bin/partnersync" version || return
	documented "$work/root/usr/share" || return
	# A candidate is older than its release.
	dpkg --compare-versions "$(dpkg-deb --field "$deb" Version)" lt 0.9.0
}

# documented SHARE checks that the package's manual pages and completion are there, and that all links between its files lead
# somewhere.
documented() {
	local page link broken=
	# The date is the commit's.
	for page in partnersync partnersync-migrate-down; do
		gzip -dc "$1/man/man1/$page.1.gz" | grep -i "^\.TH \"$page\" \"1\" \"Jan 2026\" \"partnersync v0\.9\.0-rc\.1\"" >"$work/title" ||
			{ echo "no manual page $page of this version" && return 1; }
	done
	bash -n "$1/bash-completion/completions/partnersync" || return
	while IFS=: read -r page link; do
		[ -e "$(dirname "$page")/${link%%#*}" ] || broken="$broken $page -> $link"
	done < <(grep -roE '\]\([^):]+\)' --include='*.md' "$1/doc/partnersync" | sed -e 's/](//' -e 's/)$//')
	[ -z "$broken" ] || { echo "links lead nowhere:$broken" && return 1; }
}

# units checks systemd's units, where the package puts them.
units() {
	local unit units=/lib/systemd/system
	if ! command -v systemd-analyze >/dev/null || [ ! -d "$work/root$units" ]; then
		echo "skipped: no systemd-analyze or no dpkg-deb here"
		return 0
	fi
	for unit in partnersync.service partnersync-once.service partnersync-once.timer; do
		# What it finds wrong is not always in its exit status.
		systemd-analyze verify --man=no --recursive-errors=no --root="$work/root" "$unit" >"$work/verified" 2>&1 || { cat "$work/verified" && return 1; }
		[ ! -s "$work/verified" ] || { cat "$work/verified" && return 1; }
	done
	for unit in partnersync.service partnersync-once.service; do
		systemd-analyze security --offline=true --no-pager --threshold=20 "$work/root$units/$unit" >"$work/security" || { cat "$work/security" && return 1; }
		tail -n 1 "$work/security"
	done
}

# manifests checks compose.yaml, the Dockerfile and the Kubernetes manifests, in a module of its own.
manifests() {
	if ! (cd deploy/validate && go mod download) >"$work/download" 2>&1; then
		tail -n 1 "$work/download"
		echo "skipped: modules of deploy/validate not reachable"
		return 0
	fi
	(cd deploy/validate && go mod tidy -diff && go vet ./... && go test ./...)
}

# alerts checks Prometheus's rules and their tests, and that the dashboard's expressions are ones.
alerts() {
	local promtool
	if ! promtool=$(find_promtool); then
		echo "skipped: promtool is not here and cannot be had: install Prometheus"
		return 0
	fi
	{
		printf 'groups:\n  - name: dashboard\n    rules:\n'
		# shellcheck disable=SC2016 # $__rate_interval is Grafana's
		sed -n 's/^ *"expr": "\(.*\)",$/\1/p' deploy/grafana/dashboard.json | sed -e 's/\\"/"/g' -e 's/\$__rate_interval/5m/g' |
			awk '{ printf "      - record: expression%d\n        expr: |-\n          %s\n", NR, $0 }'
	} >"$work/dashboard.yaml"
	"$promtool" check rules deploy/prometheus/alerts.yaml "$work/dashboard.yaml" && "$promtool" test rules deploy/prometheus/alerts_test.yaml
}

# find_promtool prints where promtool is. Debian has it in a package with a server that would be started along with it:
# so that is only unpacked.
find_promtool() {
	command -v promtool && return
	command -v apt-get >/dev/null || return
	(cd "$work" && apt-get download prometheus && dpkg-deb --extract prometheus_*.deb "$work/prometheus") >"$work/promtool.log" 2>&1 || return
	echo "$work/prometheus/usr/bin/promtool"
}
