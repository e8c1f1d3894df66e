# Completion of dsmctl's command line for bash.

_dsmctl_clusters()
{
    "$1" list --noheadings --output NAME 2>/dev/null
}

_dsmctl_arrays()
{
    local name kind

    "$1" list "$2" --noheadings --output NAME,KIND 2>/dev/null |
        while read -r name kind; do
            [ "$kind" = array ] && echo "$name"
        done
}

_dsmctl_options()
{
    case $1 in
    list) echo --json --output --noheadings --bytes --check ;;
    delete | export) echo --force ;;
    clean) echo --dry-run ;;
    start) echo --workers --log --max-jobs ;;
    stop | refresh) ;;
    submit) echo --name --retries ;;
    top) echo --json --output --noheadings --bytes --delay --once ;;
    *)
        echo --json --output --noheadings --bytes --check --dry-run --force \
            --workers --log --max-jobs --delay --once --name --retries --help \
            --version
        ;;
    esac
}

# COMMAND NAME: the columns of workers or of clusters, or with a cluster's name
# those of its objects.
_dsmctl_columns()
{
    if [ "$1" = top ]; then
        echo CLUSTER WORKER PID STATE BUSY BARRIER JOBS RATE DEATHS MEMORY \
            WORK MEAN WORST
    elif [ -n "$2" ]; then
        echo NAME KIND TYPE SHAPE SIZE PATH
    else
        echo NAME STATE OWNER WORKERS OBJECTS SIZE AGE PROGRAM CREATED DIRECTORY
    fi
}

# WORD COMMAND NAME: completes the last of the names in a list such as
# +NAME,SIZE,ST.
_dsmctl_complete_columns()
{
    local cur=$1 before=

    case $cur in
    *,*) before=${cur%,*}, ;;
    +*) before=+ ;;
    esac
    cur=${cur#"$before"}
    mapfile -t COMPREPLY < <(compgen -P "$before" \
        -W "$(_dsmctl_columns "$2" "$3")" -- "${cur^^}")
    compopt -o nospace 2>/dev/null
}

_dsmctl_complete_files()
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# WORDS CURRENT
_dsmctl_complete_words()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# OPTION COMMAND
_dsmctl_takes_argument()
{
    case $1 in
    -o | --output | --workers | --log | --max-jobs | -d | --delay) ;;
    --name | --retries) ;;
    -n) [ "$2" = start ] ;;
    *) return 1 ;;
    esac
}

_dsmctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command= operands=() skip= i word

    # "--output=NA" comes as three words.
    [ "$cur" = = ] && cur=
    [ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        if [ "$word" = = ] || [ "$i" -eq "$COMP_CWORD" ]; then
            continue
        elif [ -n "$skip" ]; then
            skip=
        elif _dsmctl_takes_argument "$word" "$command"; then
            skip=yes
        elif [[ $word != -* ]]; then
            if [ -z "$command" ]; then
                command=$word
            else
                operands+=("$word")
            fi
        fi
    done

    COMPREPLY=()
    if [ "$prev" = -o ] || [ "$prev" = --output ]; then
        _dsmctl_complete_columns "$cur" "$command" "${operands[0]}"
        return
    fi
    if [ "$prev" = --log ]; then
        _dsmctl_complete_files "$cur"
        return
    fi
    _dsmctl_takes_argument "$prev" "$command" && return
    if [[ $cur == -* ]]; then
        _dsmctl_complete_words "$(_dsmctl_options "$command")" "$cur"
        return
    fi
    case $command in
    '')
        _dsmctl_complete_words \
            "list delete clean export start stop refresh submit top" "$cur"
        ;;
    list | delete | stop | refresh | top)
        [[ $command == [lrt]* ]] && [ ${#operands[@]} -gt 0 ] && return
        _dsmctl_complete_words "$(_dsmctl_clusters "$1")" "$cur"
        ;;
    submit)
        case ${#operands[@]} in
        0) _dsmctl_complete_words "$(_dsmctl_clusters "$1")" "$cur" ;;
        *) _dsmctl_complete_files "$cur" ;;
        esac
        ;;
    export)
        case ${#operands[@]} in
        0) _dsmctl_complete_words "$(_dsmctl_clusters "$1")" "$cur" ;;
        1)
            _dsmctl_complete_words \
                "$(_dsmctl_arrays "$1" "${operands[0]}")" "$cur"
            ;;
        2) _dsmctl_complete_files "$cur" ;;
        esac
        ;;
    esac
}

complete -F _dsmctl dsmctl
