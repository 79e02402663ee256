// SPDX-License-Identifier: Apache-2.0
package kommo;

import java.io.Reader;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.es.SpanishAnalyzer;
import org.apache.lucene.analysis.pattern.PatternReplaceCharFilter;
import org.apache.lucene.analysis.pt.PortugueseAnalyzer;
import org.apache.lucene.analysis.ru.RussianAnalyzer;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.analysis.AbstractIndexAnalyzerProvider;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.CharFilterFactory;
import org.elasticsearch.index.analysis.NormalizingCharFilterFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * The small Elasticsearch distribution has Lucene's language analyzers in its lib folder, but not the module that gives
 * them their names. This gives four of them, and the character filter that the index template uses, the names they have
 * in the full distribution.
 */
public class LanguagesPlugin extends Plugin implements AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> analyzers = new HashMap<>();
        analyzers.put("english", named(EnglishAnalyzer::new));
        analyzers.put("portuguese", named(PortugueseAnalyzer::new));
        analyzers.put("russian", named(RussianAnalyzer::new));
        analyzers.put("spanish", named(SpanishAnalyzer::new));
        return analyzers;
    }

    @Override
    public Map<String, AnalysisProvider<CharFilterFactory>> getCharFilters() {
        return Map.of("pattern_replace", AnalysisPlugin.requiresAnalysisSettings((index, environment, name, settings) -> new PatternReplace(name, settings)));
    }

    private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> named(Supplier<Analyzer> create) {
        return (index, environment, name, settings) -> new Provider(name, settings, create.get());
    }

    private static final class PatternReplace implements NormalizingCharFilterFactory {
        private final String name;
        private final Pattern pattern;
        private final String replacement;

        PatternReplace(String name, Settings settings) {
            this.name = name;
            this.pattern = Pattern.compile(settings.get("pattern"));
            this.replacement = settings.get("replacement", "");
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public Reader create(Reader reader) {
            return new PatternReplaceCharFilter(pattern, replacement, reader);
        }
    }

    private static final class Provider extends AbstractIndexAnalyzerProvider<Analyzer> {
        private final Analyzer analyzer;

        Provider(String name, Settings settings, Analyzer analyzer) {
            super(name, settings);
            this.analyzer = analyzer;
        }

        @Override
        public Analyzer get() {
            return analyzer;
        }
    }
}
