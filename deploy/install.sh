# shellcheck shell=bash
#
# Sourced by demo and test. They state with need what is missing, and install_missing installs it with the system's
# package manager, after saying so. Written for bash 3.2, which macOS has.

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "$(basename "$0"): $*"
	exit 1
}

require_go() {
	command -v go >/dev/null || die "Go is missing: install it (go.dev/doc/install) and put its bin directory on the PATH"
}

# has_postgres looks for a server, 14 or newer, where the package localpg does.
has_postgres() {
	local dir major
	for dir in "$(dirname "$(command -v postgres || echo none/none)")" "$(pg_config --bindir 2>/dev/null || echo none)" \
		/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/lib/postgresql*/bin /usr/libexec/postgresql* \
		/usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql*/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
		[ -x "$dir/initdb" ] || continue
		major=$("$dir/postgres" --version 2>/dev/null | sed 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/') || continue
		[ "${major:-0}" -ge 14 ] && return
	done
	return 1
}

apt_packages=
brew_packages=

# need APT BREW notes packages to install, by their names for each package manager.
need() {
	apt_packages="$apt_packages $1"
	brew_packages="$brew_packages $2"
}

need_postgres() {
	has_postgres || need postgresql postgresql@17
}

need_pgbouncer() {
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || need pgbouncer pgbouncer
}

# install_missing installs what was noted.
install_missing() {
	[ -n "$apt_packages" ] || return 0
	if command -v apt-get >/dev/null; then
		say "installing with apt-get, to stay:$apt_packages"
		case $apt_packages in *postgresql*) keep_main_cluster_away ;; esac
		as_root apt-get update
		# shellcheck disable=SC2086 # a list of names
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $apt_packages
		case $apt_packages in *pgbouncer*) stop_pgbouncer ;; esac
	elif command -v brew >/dev/null; then
		say "installing with brew, to stay:$brew_packages"
		# shellcheck disable=SC2086 # a list of names
		brew install $brew_packages
	else
		die "there is neither apt-get nor brew: install what Debian calls$apt_packages, then run this again"
	fi
	case $apt_packages in
	*postgresql*) has_postgres || die "the system's packages have no PostgreSQL 14 or newer: install it from postgresql.org/download" ;;
	esac
}

# keep_main_cluster_away has Debian's package install PostgreSQL without making and starting a server of its own.
keep_main_cluster_away() {
	local conf=/etc/postgresql-common/createcluster.conf file
	file=/etc/postgresql-common/createcluster.d/partnersync.conf
	if [ -e "$conf" ] && ! grep -q '^include_dir.*createcluster\.d' "$conf"; then
		file=$conf
	fi
	if grep -qs '^create_main_cluster *= *false' "$file"; then
		return
	fi
	say "writing create_main_cluster = false to $file, so that no server is set up along with it"
	as_root mkdir -p "$(dirname "$file")"
	echo 'create_main_cluster = false' | as_root tee -a "$file" >/dev/null
}

# stop_pgbouncer ends the pooler that Debian's package has started: tests start their own.
stop_pgbouncer() {
	[ -d /run/systemd/system ] || return 0
	say "stopping and disabling the service pgbouncer, which came with the package"
	as_root systemctl disable --now pgbouncer
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this takes root's rights and there is no sudo: as root, run: apt-get install$apt_packages"
	fi
}
