package dev.gyre.model.chat;

import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** How DeepSeek-V3.2 spells a conversation; the wording is the one it was trained on, to the character. */
final class ChatTemplate {
    static final String BEGIN = "<｜begin▁of▁sentence｜>";
    static final String END = "<｜end▁of▁sentence｜>";
    static final String USER = "<｜User｜>";
    static final String ASSISTANT = "<｜Assistant｜>";
    static final String THINK = "<think>";
    static final String END_THINK = "</think>";

    static final String DSML = "｜DSML｜";
    static final String CALLS = "<｜DSML｜function_calls>";
    static final String END_CALLS = "</｜DSML｜function_calls>";
    /** The function's name and {@link #END_CALL_TAG} follow. */
    static final String CALL_NAME = "<｜DSML｜invoke name=\"";
    static final String END_CALL_TAG = "\">";
    static final String END_CALL = "</｜DSML｜invoke>";
    /** The parameter's name and one of the two below follow. */
    static final String PARAMETER_NAME = "<｜DSML｜parameter name=\"";
    static final String STRING_VALUE = "\" string=\"true\">";
    static final String JSON_VALUE = "\" string=\"false\">";
    static final String END_PARAMETER = "</｜DSML｜parameter>";

    static final String RESULTS = "\n\n<function_results>";
    static final String RESULT = "\n<result>";
    static final String END_RESULT = "</result>";
    static final String END_RESULTS = "\n</function_results>";

    static final String DEVELOPER = "\n\n# The user's message is: ";
    /** The schema follows. */
    static final String RESPONSE_FORMAT = """


            ## Response Format:

            You MUST strictly adhere to the following schema to reply:
            """;
    /** A line for each function follows, then {@link #END_TOOLS}. */
    static final String TOOLS = """


            ## Tools

            You have access to a set of tools you can use to answer the user's question.
            You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as part of your \
            reply to the user:
            <｜DSML｜function_calls>
            <｜DSML｜invoke name="$FUNCTION_NAME">
            <｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
            ...
            </｜DSML｜invoke>
            <｜DSML｜invoke name="$FUNCTION_NAME2">
            ...
            </｜DSML｜invoke>
            </｜DSML｜function_calls>

            String and scalar parameters should be specified as is without any escaping or quotes, while lists and \
            objects should use JSON format. The "string" attribute should be set to "true" for string type parameters \
            and "false" for other types (numbers, booleans, arrays, objects).

            If the thinking_mode is enabled, then after function results you should strongly consider outputting a \
            thinking block. Here is an example:

            <｜DSML｜function_calls>
            ...
            </｜DSML｜function_calls>

            <function_results>
            ...
            </function_results>

            <think>...thinking about results</think>

            Here are the functions available in JSONSchema format:
            <functions>
            """;
    static final String END_TOOLS = "\n</functions>\n";

    /** Any token that the tokenizer knows as one. */
    static final Pattern CONTROL_TOKEN = Pattern.compile(
            List.of(BEGIN, END, USER, ASSISTANT, THINK, END_THINK, "｜DSML｜").stream()
                    .map(Pattern::quote)
                    .collect(Collectors.joining("|")));

    private ChatTemplate() {}
}
