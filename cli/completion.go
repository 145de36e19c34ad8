package cli

import (
	"io"

	"github.com/spf13/cobra"
)

// bashWords makes the script work without the bash-completion package, which cobra's own needs: it puts words together again
// that bash has split at = and :. With the package the script uses what the package has.
const bashWords = `
__weir_init_completion()
{
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local i word gap rest=$COMP_LINE
    words=() cword=0
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        gap=${rest%%"$word"*}
        [[ -n $word ]] || gap=${rest%%[![:space:]]*}
        rest=${rest#"$gap$word"}
        if [[ $i -gt 0 && -z $gap ]]; then
            words[cword]+=$word
        else
            words+=("$word")
            cword=$((${#words[@]} - 1))
        fi
    done
    cur=${words[cword]}
    prev=
    ((cword == 0)) || prev=${words[cword - 1]}
}
`

func completionCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "completion",
		Short: "Write a script that completes commands in a shell",
		Example: `  source <(weir completion bash)
  weir completion zsh > "${fpath[1]}/_weir"`,
	})
	for _, shell := range []struct {
		name, example string
		generate      func(root *cobra.Command, w io.Writer) error
	}{
		{"bash", "  source <(weir completion bash)\n  weir completion bash > /etc/bash_completion.d/weir", bashCompletion},
		{"fish", "  weir completion fish > ~/.config/fish/completions/weir.fish",
			func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"powershell", "  weir completion powershell | Out-String | Invoke-Expression",
			func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) }},
		{"zsh", `  weir completion zsh > "${fpath[1]}/_weir"`,
			func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
	} {
		cmd.AddCommand(&cobra.Command{
			Use:   shell.name,
			Short: "Write the script for " + shell.name,
			Long: `Write a script that completes commands and options, and the names of topics, groups, brokers and
configurations, for which it asks the cluster at $` + bootstrapEnv + ` or --bootstrap-server.`,
			Example: shell.example,
			Args:    noArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return shell.generate(cmd.Root(), cmd.OutOrStdout()) },
		})
	}
	return cmd
}

func bashCompletion(root *cobra.Command, w io.Writer) error {
	if err := root.GenBashCompletionV2(w, true); err != nil {
		return err
	}
	_, err := io.WriteString(w, bashWords)
	return err
}
