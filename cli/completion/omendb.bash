# Completion of `omendb` for bash. Commands and options are asked of the command itself, so this
# file needs no change when they do. Installed as share/bash-completion/completions/omendb.

_omendb()
{
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} program=${COMP_WORDS[0]} words
    COMPREPLY=()
    if ((COMP_CWORD == 1)) || [[ $command == help && COMP_CWORD -eq 2 ]]; then
        words=$("$program" help 2>/dev/null | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }')
    elif [[ $word == -* ]]; then
        words=$("$program" help "$command" 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u)
    elif ((COMP_CWORD == 3)) && [[ $command != @(backup|restore|repair) ]]; then
        # A name that JSON escapes isn't offered.
        words=$("$program" list "${COMP_WORDS[2]}" --json 2>/dev/null |
            grep -oE '\{"name":"[^"\\]*","count"' | cut -d '"' -f 4)
    fi
    if [[ -n $words ]]; then
        local IFS=$'\n'
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}

complete -o filenames -F _omendb omendb
